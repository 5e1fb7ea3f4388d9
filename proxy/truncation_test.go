package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestResponseCutAtEveryByte ends the app's response after each of its bytes, with FIN and with RST:
// only the complete one may be complete for the client.
func TestResponseCutAtEveryByte(t *testing.T) {
	for name, whole := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nT: 1\r\n\r\n",
	} {
		for _, reset := range []bool{false, true} {
			for _, version := range []string{"1.0", "1.1"} {
				t.Run(fmt.Sprintf("%s, reset %v, client HTTP/%s", name, reset, version), func(t *testing.T) {
					cut := make(chan int, 1)
					u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
						for {
							if _, err := http.ReadRequest(c.Reader); err != nil {
								return
							}
							n := <-cut
							io.WriteString(c, whole[:n])
							if n == len(whole) {
								continue
							}
							if reset {
								wiretest.TCP(c).SetLinger(0)
							}
							return
						}
					})
					addr, _ := start(t, u.Addr)
					for n := 0; n <= len(whole); n++ {
						cut <- n
						c := wiretest.Dial(t, addr)
						c.Send(lines("GET / HTTP/"+version, "Host: x"))
						status, body, complete := outcome(c)
						switch {
						case n == len(whole):
							if !complete || body != "hello world" || status != 200 {
								t.Fatalf("the whole response came as %d %q, complete %v", status, body, complete)
							}
						case complete && status == 200:
							t.Fatalf("cut after %d bytes, %q, the client has a complete %q", n, whole[:n], body)
						case complete && status != 502:
							t.Fatalf("cut after %d bytes: status %d", n, status)
						}
						c.Close()
					}
				})
			}
		}
	}
}

// outcome reads a response with net/http's reader; a reset at the end makes it incomplete, also where
// the end of the connection is the end of the body.
func outcome(c *wiretest.Client) (status int, body string, complete bool) {
	resp, err := http.ReadResponse(c.Reader, &http.Request{Method: "GET"})
	if err != nil {
		return 0, "", false
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err == nil
}

// TestUploadCutAtEveryByte ends the client's request after each of its bytes: the app must never read a
// whole request that was not.
func TestUploadCutAtEveryByte(t *testing.T) {
	for name, whole := range map[string]string{
		"length": "POST /u HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world",
		"chunks": "POST /u HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
	} {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reset %v", name, reset), func(t *testing.T) {
				results := make(chan string, len(whole)+1)
				u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
					r, err := http.ReadRequest(c.Reader)
					if err != nil {
						results <- "cut"
						return
					}
					b, err := io.ReadAll(r.Body)
					if err != nil {
						results <- "cut"
						return
					}
					results <- "whole " + string(b)
					c.Write(ok("thanks"))
				})
				addr, _ := start(t, u.Addr, func(o *Options) { o.Pool = 0 })
				head := strings.Index(whole, "\r\n\r\n") + 4
				for n := head; n <= len(whole); n++ {
					c := wiretest.Dial(t, addr)
					c.Send(whole[:n])
					wiretest.Eventually(t, "the app is connected to", func() bool { return len(u.Conns()) == n-head+1 })
					if n < len(whole) && reset {
						wiretest.TCP(c).SetLinger(0)
					}
					if n == len(whole) {
						c.Response("POST")
					}
					c.Close()
					got := <-results
					if n < len(whole) && got != "cut" {
						t.Fatalf("cut after %d of %d bytes, the app has a %s", n, len(whole), got)
					}
					if n == len(whole) && got != "whole hello world" {
						t.Fatalf("the whole upload came as %s", got)
					}
				}
			})
		}
	}
}

// TestMalformedChunksAreNotFinished sends chunked bodies that some parsers would take.
func TestMalformedChunksAreNotFinished(t *testing.T) {
	for _, body := range []string{
		"2\r\nhiX\r\n0\r\n\r\n", "\r\nhi\r\n0\r\n\r\n", "+2\r\nhi\r\n0\r\n\r\n",
		"-2\r\nhi\r\n0\r\n\r\n", "0x2\r\nhi\r\n0\r\n\r\n", "2;\x01\r\nhi\r\n0\r\n\r\n", "11111111111111112\r\nhi\r\n0\r\n\r\n",
		"2\r\nhi\r\n0\r\n: x\r\n\r\n", "2_\r\nhi\r\n0\r\n\r\n",
	} {
		t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
			whole := make(chan bool, 4)
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				r, err := http.ReadRequest(c.Reader)
				if err != nil {
					return
				}
				if r.Method == "GET" {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
					io.Copy(io.Discard, c.Reader)
					return
				}
				_, err = io.ReadAll(r.Body)
				whole <- err == nil
			})
			addr, _ := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send(lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + body)
			if resp, _ := c.Response("POST"); resp.StatusCode != 400 {
				t.Errorf("status %d for an upload, want 400", resp.StatusCode)
			}
			select {
			case w := <-whole:
				if w {
					t.Error("the app has a whole upload")
				}
			default: // it did not even get the head
			}
			c = wiretest.Dial(t, addr)
			c.Send(lines("GET / HTTP/1.1", "Host: x"))
			if status, body, complete := outcome(c); complete && status == 200 {
				t.Errorf("the client has a complete response %q", body)
			}
		})
	}
}
