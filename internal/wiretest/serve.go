package wiretest

import "testing"

// Serve runs a server, such as a park.Poller, until the test ends, and waits for its end.
func Serve(t testing.TB, s interface {
	Serve() error
	Shutdown()
}) {
	donec := make(chan struct{})
	go func() {
		defer close(donec)
		_ = s.Serve()
	}()
	t.Cleanup(func() {
		s.Shutdown()
		<-donec
	})
}
