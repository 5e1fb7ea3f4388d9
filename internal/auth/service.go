package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/throttle"
)

const (
	queueLength     = 16384 // requests that may wait for the app to be asked
	defaultInFlight = 64
)

// ErrUnavailable is the error for a client if the authorization request failed, or something was revoked meanwhile.
var ErrUnavailable = errors.New("could not be authorized now")

var (
	errNobody   = errors.New("push.authorize_path is not set")
	errSessions = fmt.Errorf("the app has set more session cookies than the %d that one client may have (push.logout.cookies)", MaxCredentials)
)

// ServiceOptions of a Service.
type ServiceOptions struct {
	Authorizer    Authorizer    // nil: push.authorize_path is not set
	CacheAge      time.Duration // how long an allowed response is cached for an identical request; 0: not at all
	LogoutCookies []string      // session cookies that the app clears at logout
	LogoutPaths   http1.PathSet // after a request to one, the session's clients are authorized again
	OwnPaths      []string      // requested by Holdfast itself: a new session cookie in such a response is no reason for that

	InFlight int // requests to Authorizer at once; others wait in a queue; 0: 64

	NewPool func(workers, queue int) Pool
	Log     *slog.Logger
}

// Pool runs functions on workers, in the order in which they come. Go reports false, and drops f, when its queue is full.
type Pool interface {
	Go(f func()) bool
	Waiting() int
}

// Service sends authorization requests to the app, on workers with a queue, so that a slow app delays only clients that
// need its response. No response from before a revocation is used after it. Its methods may be called from any
// goroutine.
type Service struct {
	Cache       *Cache // nil: no cache
	Credentials *Credentials
	Revocations Revocations

	o         ServiceOptions
	pool      Pool
	queueFull throttle.Throttle
	errors    atomic.Int64
}

// NewService returns a service. It starts nothing.
func NewService(o ServiceOptions) *Service {
	if o.InFlight <= 0 {
		o.InFlight = defaultInFlight
	}
	s := &Service{o: o, pool: o.NewPool(o.InFlight, queueLength), Credentials: NewCredentials(o.LogoutCookies)}
	if o.CacheAge > 0 && o.Authorizer != nil {
		s.Cache = NewCache(o.CacheAge, o.Authorizer, o.Log)
	}
	return s
}

// Available reports whether push.authorize_path is set.
func (s *Service) Available() bool { return s.o.Authorizer != nil }

// Go runs f, which calls Ask, on a worker when it is its turn. It returns false, and drops f, if the queue is full.
func (s *Service) Go(f func()) bool {
	if s.pool.Go(f) {
		return true
	}
	if total, due := s.queueFull.Due(time.Now()); due {
		s.o.Log.Warn("authorize queue full; is the app slow? see push.authorize_in_flight", "limit", s.o.InFlight, "queued", s.pool.Waiting(), "total", total)
	}
	return false
}

// Ask requests authorization from the app, or finds it in the cache. It sets the subject's user to the one that the app
// names, and repeats the request if a revocation meanwhile concerns the subject: the session may have ended, or have
// another user. seq is set to that of the last request, for another check when the response takes effect. setCookie
// gets the app's Set-Cookie fields; it may be nil. An error is counted and logged.
func (s *Service) Ask(r *Request, subject *Subject, seq *uint64, setCookie *[]string) (result Result, err error) {
	for range 2 {
		*seq = s.Revocations.Seq()
		if result, err = s.askOnce(r); err != nil {
			s.errors.Add(1)
			s.o.Log.Error("authorization request failed (push.authorize_path)", "error", err)
			if setCookie != nil { // the app may have replaced a token for one use, even if it failed
				*setCookie = append(*setCookie, result.SetCookie...)
			}
			return result, err
		}
		if setCookie != nil {
			*setCookie = append(*setCookie, result.SetCookie...)
		}
		if len(result.SetCookie) > 0 {
			r.Cookie = ReplaceCookies(r.Cookie, result.SetCookie)
			list := s.credentialsOf(r)
			if len(list) > MaxCredentials { // the end of a session beyond the limit would go unnoticed
				s.errors.Add(1)
				s.o.Log.Error("authorization request failed (push.authorize_path)", "error", errSessions)
				return Result{}, errSessions
			}
			subject.Credentials = append(subject.Credentials, list...)
		}
		if result.User != "" {
			subject.User = result.User
		}
		if !result.Allowed || !s.Revocations.ChangedSince(*seq, subject) {
			break
		}
	}
	return result, nil
}

// askOnce requests authorization once. It uses the cache only if the client has at most one session, as any of several
// may end.
func (s *Service) askOnce(r *Request) (Result, error) {
	if s.o.Authorizer == nil {
		return Result{}, errNobody
	}
	if s.Cache != nil {
		if list := s.credentialsOf(r); len(list) <= 1 {
			return s.Cache.Authorize(*r, append(list, 0)[0])
		}
	}
	return s.o.Authorizer.Authorize(*r)
}

func (s *Service) credentialsOf(r *Request) []uint64 {
	return s.Credentials.Of([][]byte{[]byte(r.Cookie)}, nil)
}

// Try requests authorization without the cache and without any effect.
func (s *Service) Try(r *Request) (Result, error) {
	if s.o.Authorizer == nil {
		return Result{}, errNobody
	}
	return s.o.Authorizer.Authorize(*r)
}

// AskAgain requests authorization again for channels that a client holds as user, without the cache. After a denial it
// evicts the client's cached responses. An error is counted.
func (s *Service) AskAgain(r *Request, credential uint64, user string) (Result, error) {
	result, err := s.o.Authorizer.Authorize(*r)
	switch {
	case err != nil:
		s.errors.Add(1)
	case !result.Allowed || result.User != user:
		s.Cache.EvictClient(r, credential, user)
	}
	return result, err
}

// Renews reports whether an allowed result is authorized again later.
func (s *Service) Renews(r *Result) bool { return r.Expires > 0 || len(s.o.LogoutCookies) > 0 }

// Revoke makes cached responses and requests in progress invalid for clients that the revocation concerns. Held
// connections are the caller's task. It evicts from the cache first: a client that found a response there before has
// started before the revocation, and sees it.
func (s *Service) Revoke(v Revocation) {
	if v == (Revocation{}) {
		return
	}
	if v.Credential != 0 {
		s.Cache.EvictCredential(v.Credential)
	} else {
		s.Cache.EvictMatching(v.User, v.Channel)
	}
	s.Revocations.Add(v)
}

// OnResponse revokes what the app's response to a request with credentials ends. over means that it has cleared their
// session, and ask that their clients are to be authorized again.
func (s *Service) OnResponse(credentials []uint64, path []byte, cookies [][]byte) (over, ask bool) {
	if ask = s.o.LogoutPaths.Has(path); ask {
		for _, credential := range credentials {
			s.Revoke(Revocation{Credential: credential})
		}
	}
	// A cookie with a new value is no logout, even if it was cleared before in the same response: authorize again.
	over, changed := s.Credentials.Effect(cookies)
	return over, ask || changed && !slices.Contains(s.o.OwnPaths, string(path))
}

// ServiceStats are counts for metrics: requests that failed, that wait, and that found the queue full.
type ServiceStats struct{ Errors, Queued, QueueFull int64 }

// Stats returns the counts until now.
func (s *Service) Stats() ServiceStats {
	return ServiceStats{s.errors.Load(), int64(s.pool.Waiting()), s.queueFull.Total()}
}
