package balance

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Check requests Options.CheckPath regularly from each upstream until ctx ends. One that does not respond in time with
// a status below 400 is unhealthy, and gets no requests until it does.
func (s *Set) Check(ctx context.Context) error {
	if s.o.CheckPath == "" {
		<-ctx.Done()
		return nil
	}
	var group sync.WaitGroup
	for _, server := range s.servers {
		group.Go(func() {
			for {
				err := s.check(ctx, server)
				if ctx.Err() != nil {
					return
				}
				if err == nil && server.only {
					server.failures.Store(0)
				}
				switch was := server.unhealthy.Swap(err != nil); {
				case err != nil && !was:
					s.o.Log.Warn("upstream unhealthy", "upstream", server.String(), "error", err)
				case err == nil && was:
					server.downTo.Store(0)
					s.o.Log.Info("upstream healthy again", "upstream", server.String())
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(s.o.CheckEvery):
				}
			}
		})
	}
	group.Wait()
	return nil
}

func (s *Set) check(ctx context.Context, server *Server) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.ConnectTime+s.o.CheckEvery)
	defer cancel()
	c, err := server.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if server.site != nil {
		return s.checkFastCGI(c, server)
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-check\r\nConnection: close\r\n\r\n", s.o.CheckPath, server.Host); err != nil {
		return err
	}
	b, err := bufio.NewReaderSize(c, 512).ReadSlice('\n') // a line that does not end must not fill the memory
	if err != nil {
		return fmt.Errorf("response: %w", err)
	}
	line := string(b)
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.") || line[9] != '2' && line[9] != '3' {
		return fmt.Errorf("answered %.40q", strings.TrimSpace(line))
	}
	return nil
}

// dial connects to the first address that accepts a connection.
func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	var failed error
	for tried := uint64(0); ; {
		address, number, err := s.DialAddress(tried)
		if err != nil {
			return nil, cmp.Or(failed, err)
		}
		c, err := new(net.Dialer).DialContext(ctx, s.Network, address)
		if err == nil && s.TLS != nil {
			c, err = s.TLS.Secure(ctx, c)
		}
		if err == nil {
			s.Reached(number)
			return c, nil
		}
		failed = err
		tried |= 1 << number
	}
}
