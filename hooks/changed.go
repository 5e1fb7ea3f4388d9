package hooks

import (
	"fmt"
	"net/url"
	"strings"

	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/strictjson"
)

// changedExample ends the errors of POST /changed that are about its form.
const changedExample = "such as /changed?channel=parcel.42&url=/status.php?id=42, or {\"channel\":…,\"url\":…,\"prefix\":…,\"group\":…}"

// Cache has responses of the app. An origin is scheme://host[:port], or empty for any. The methods return how many responses
// they have dropped.
type Cache interface {
	InvalidateURL(origin, target string) int
	InvalidatePrefix(origin, prefix string) int
	InvalidateGroup(origin, group string) int
	InvalidateChannel(channel string) int
}

// Publisher publishes with the checks of the API.
type Publisher struct {
	Hub      *hub.Hub
	Channels func() *channel.Rules // the present ones
	Cache    Cache                 // nil: no response of the app is stored

	OnChanged func(channel string) // as in Options
}

// Publish publishes a message. It does not wait until that is on disk.
func (p *Publisher) Publish(d hub.Draft) (r hub.Receipt, err error) {
	for _, name := range d.Channels {
		if err := publishable(p.Channels(), name); err != nil {
			return r, err
		}
	}
	if d.Event != "" {
		if err := validEvent(d.Event); err != nil {
			return r, err
		}
	}
	return p.Hub.PublishOne(d)
}

// Changed drops what is stored of channels, and publishes a message without data to those that have a rule. Without any, the
// receipt has no ID. It does not wait until the message is on disk.
func (p *Publisher) Changed(channels []string, event string) (dropped int, r hub.Receipt, err error) {
	d := hub.Draft{Event: event}
	for _, name := range channels {
		if err := p.changeable(name); err != nil {
			return 0, r, err
		}
		if _, ok := p.Channels().Rule(name); ok {
			d.Channels = append(d.Channels, name)
		}
	}
	if event != "" {
		if err := validEvent(event); err != nil {
			return 0, r, err
		}
	}
	if p.Cache != nil {
		for _, name := range channels {
			dropped += p.Cache.InvalidateChannel(name)
		}
	}
	if len(d.Channels) > 0 {
		notification(&d)
		r, err = publisher{p.Hub, p.OnChanged}.PublishOne(d)
	}
	return dropped, r, err
}

// changeable reports whether a channel may be one that has changed. Where responses are stored, it may be without a rule: then
// nobody can subscribe to it, and the responses are dropped.
func (p *Publisher) changeable(name string) error {
	if p.Cache != nil {
		return validChannel(name)
	}
	return publishable(p.Channels(), name)
}

// change is what a request says has changed.
type change struct {
	*Publisher
	channels, groups []string
	urls, prefixes   []place
}

// place is a URL, or the beginning of one.
type place struct{ origin, target string }

// changed responds to POST /changed.
func changed(s *Server, c *call) error {
	x := change{Publisher: &Publisher{
		Hub: s.options.Hub, Channels: func() *channel.Rules { return s.access.Load().rules }, Cache: s.options.Cache, OnChanged: s.options.OnChanged,
	}}
	if err := x.read(c); err != nil {
		return err
	}
	if err := tooMany(x.channels); err != nil {
		return err
	}
	answer := struct {
		Dropped     int    `json:"dropped"`
		ID          string `json:"id,omitempty"`
		Subscribers int    `json:"subscribers"`
	}{Dropped: x.drop()}
	n, receipt, err := x.Changed(x.channels, "")
	if err != nil {
		return err
	}
	answer.Dropped += n
	if receipt.ID != 0 {
		answer.ID, answer.Subscribers = receipt.ID.String(), receipt.Subscribers
		if err := s.saved([]hub.Receipt{receipt}); err != nil {
			return err
		}
	}
	s.answerJSON(c.ctx, answer)
	return nil
}

// drop drops what is stored of what has changed, besides channels, and returns how many responses that were.
func (x *change) drop() (n int) {
	if x.Cache == nil {
		return 0
	}
	for _, u := range x.urls {
		n += x.Cache.InvalidateURL(u.origin, u.target)
	}
	for _, p := range x.prefixes {
		n += x.Cache.InvalidatePrefix(p.origin, p.target)
	}
	for _, g := range x.groups {
		n += x.Cache.InvalidateGroup("", g)
	}
	return n
}

// read reads a request.
func (x *change) read(c *call) error {
	body := c.ctx.PostBody()
	if e := c.ctx.Request.Header.ContentEncoding(); len(e) > 0 && !strings.EqualFold(string(e), "identity") {
		return fmt.Errorf("%w: %.100q; send the body as it is", errEncoding, e)
	}
	query, err := parseQuery(c.query, "channel", "url", "prefix", "group")
	switch {
	case err != nil:
		return err
	case len(query) > 0 && len(body) > 0:
		return fmt.Errorf("%w: parameters in the URL and a body; want one of them, %s", errQuery, changedExample)
	case len(query) == 0 && (len(body) == 0 || isPlain(body)):
		return fmt.Errorf("%w: it names nothing that has changed, %s", errQuery, changedExample)
	case len(query) > 0:
		for name, list := range query {
			if err := x.add(name, list); err != nil {
				return err
			}
		}
		return nil
	}
	object, err := strictjson.Object(body)
	if err != nil {
		return err
	}
	err = object.Members(func(key string, m strictjson.Value) error {
		switch key {
		case "channel", "url", "prefix", "group":
		default:
			return m.At(fmt.Errorf("%w: unknown key %.100q; want channel, url, prefix or group", strictjson.Error, key))
		}
		list, err := m.StringOrStrings()
		if err != nil {
			return m.At(fmt.Errorf("%w: %s: want text or a list of texts", strictjson.Error, key))
		}
		if err := x.add(key, list); err != nil {
			return m.At(err)
		}
		return nil
	})
	if err == nil && len(x.channels)+len(x.urls)+len(x.prefixes)+len(x.groups) == 0 {
		err = fmt.Errorf("%w: it names nothing that has changed, %s", strictjson.Error, changedExample)
	}
	return err
}

// add adds the values of a parameter or member.
func (x *change) add(name string, list []string) error {
	for _, text := range list {
		switch name {
		case "channel":
			if err := x.changeable(text); err != nil {
				return err
			}
			x.channels = append(x.channels, text)
		case "group":
			if text == "" {
				return fmt.Errorf("%w: group is empty; want a name of Cache-Groups", errQuery)
			}
			x.groups = append(x.groups, text)
		case "url":
			p, err := parsePlace(name, text)
			if err != nil {
				return err
			}
			if p.target == "" {
				p.target = "/"
			}
			x.urls = append(x.urls, p)
		case "prefix":
			p, err := parsePlace(name, text)
			if err != nil {
				return err
			}
			x.prefixes = append(x.prefixes, p)
		}
	}
	return nil
}

// parsePlace reads a path with its query, which is of any origin, or a URL. A URL of an origin alone has no target.
func parsePlace(name, text string) (p place, err error) {
	if strings.HasPrefix(text, "/") && !strings.Contains(text, "#") {
		return place{target: text}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(text, "#") {
		return p, fmt.Errorf("%w: %s=%.100q; want a path such as /status.php?id=42, or a URL such as https://shop.example/status.php?id=42", errQuery, name, text)
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	p.origin = u.Scheme + "://" + host
	_, rest, _ := strings.Cut(text, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		p.target = rest[i:]
	}
	if strings.HasPrefix(p.target, "?") {
		p.target = "/" + p.target
	}
	return p, nil
}
