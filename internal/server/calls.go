package server

import (
	"fmt"
	"maps"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channel"
	"holdfast/internal/channelurl"
	"holdfast/internal/config"
)

// calls is what Holdfast requests from the app, and where. Those of an older configuration close their connections when
// they have been idle for a while.
type calls struct {
	authorize *appcall.Authorizer       // nil: push.authorize_path is not set
	forward   *appcall.MessageForwarder // nil: push.message_path is not set
	poster    *appcall.Poster           // nil: events.url is not set
	getters   []watched                 // of watch
}

// watched is how a watched URL is requested.
type watched struct {
	*appcall.Getter
	url *channelurl.Template
}

// newCalls returns an error if a URL of watch does not fit.
func newCalls(next *state) (x calls, err error) {
	c := next.config
	key := c.Events.Key
	if key == "" {
		key = c.Hooks.Token
	}
	at := func(named string) appcall.Target {
		who, path := next.appEndpoint(named)
		return next.target(who, path)
	}
	if c.Push.Authorize != "" {
		x.authorize = appcall.NewAuthorizer(appcall.AuthorizerOptions{
			Target: at(c.Push.Authorize), Timeout: time.Duration(c.Push.AuthorizeTimeout),
			Within: channel.Within, MaxConns: c.Push.AuthorizeInFlight,
		})
	}
	if c.Push.Message != "" {
		x.forward = appcall.NewMessageForwarder(appcall.MessageForwarderOptions{
			Target: at(c.Push.Message), Key: key, Timeout: time.Duration(c.Push.MessageTimeout),
			MaxConns: c.Push.MessageInFlight, MaxReply: int(c.Push.MaxReply),
		})
	}
	if e := &c.Events; e.URL != "" {
		to, path, err := e.Target(config.Upstream{})
		if err == nil && to == (config.Upstream{}) {
			to, path = next.appEndpoint(path)
		}
		x.poster = appcall.NewPoster(appcall.PosterOptions{Target: next.target(to, path), Key: key, Timeout: time.Duration(e.Timeout)})
	}
	for i := range c.Watch {
		w, err := newWatched(next, &c.Watch[i])
		if err != nil {
			return x, fmt.Errorf("watch[%d]: %w", i, err)
		}
		x.getters = append(x.getters, w)
	}
	return x, nil
}

func newWatched(next *state, w *config.Watch) (x watched, err error) {
	c := next.config
	who, path := next.appEndpoint(w.URL)
	pattern, err := channelurl.ParsePattern(w.Channel)
	if err != nil {
		return x, err
	}
	if x.url, err = pattern.Parse(path); err != nil {
		return x, err
	}
	header := map[string]string{}
	if c.External.Scheme == "https" { // or the app may redirect to it
		header["X-Forwarded-Proto"] = "https"
	}
	maps.Copy(header, w.As)
	x.Getter = appcall.NewGetter(appcall.GetterOptions{
		Target: next.target(who, path), Header: header, Timeout: time.Duration(c.Push.WatchTimeout),
		MaxConns: c.Push.WatchInFlight, MaxBody: int(c.Push.WatchMaxReply),
	})
	return x, nil
}

// close closes the idle connections.
func (x *calls) close() {
	if x.authorize != nil {
		x.authorize.Close()
	}
	if x.forward != nil {
		x.forward.Close()
	}
}
