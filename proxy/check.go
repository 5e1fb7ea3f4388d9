package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Check asks every upstream for Options.CheckPath again and again until ctx ends. One that does not
// answer with a status below 400 in time is sick, and not asked anything else until it does.
func (p *Proxy) Check(ctx context.Context) error {
	if p.o.CheckPath == "" {
		<-ctx.Done()
		return nil
	}
	var group sync.WaitGroup
	for _, s := range p.servers {
		if s.fastcgi {
			continue
		}
		group.Go(func() {
			for {
				err := p.check(ctx, s)
				if ctx.Err() != nil {
					return
				}
				switch was := s.sick.Swap(err != nil); {
				case err != nil && !was:
					p.o.Log.Warn("upstream is sick", "upstream", s.String(), "error", err)
				case err == nil && was:
					s.downTo.Store(0)
					p.o.Log.Info("upstream is well again", "upstream", s.String())
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(p.o.CheckEvery):
				}
			}
		})
	}
	group.Wait()
	return nil
}

func (p *Proxy) check(ctx context.Context, s *server) error {
	address, err := s.dialAddress()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.ConnectTime+p.o.CheckEvery)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, s.Network, address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-check\r\nConnection: close\r\n\r\n", p.o.CheckPath, s.Host); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(c, 512).ReadString('\n')
	if err != nil {
		return fmt.Errorf("response: %w", err)
	}
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.") || line[9] != '2' && line[9] != '3' {
		return fmt.Errorf("answered %.40q", strings.TrimSpace(line))
	}
	return nil
}
