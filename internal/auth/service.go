package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"holdfast/internal/throttle"
)

const (
	queueLength     = 16384 // requests that may wait for the app to be asked
	defaultInFlight = 64
)

// ErrUnavailable is what a client is told when the app could not be asked, or has revoked something meanwhile.
var ErrUnavailable = errors.New("could not be authorized now")

var (
	errNobody   = errors.New("push.authorize_path is not set")
	errSessions = fmt.Errorf("the app has set more session cookies than the %d that one client may have (push.logout.cookies)", MaxCredentials)
)

// ServiceOptions of a Service.
type ServiceOptions struct {
	Authorizer    Authorizer    // nil: nobody can be asked
	CacheAge      time.Duration // how long an allowed response is good for an identical request; 0: once
	LogoutCookies []string      // what an app takes back at logout

	InFlight int // requests to Authorizer at once, the others wait in a queue; 0: 64

	NewPool func(workers, queue int) Pool
	Log     *slog.Logger
}

// Pool runs functions on workers, in the order in which they come. Go reports false, and drops f, when its queue is full.
type Pool interface {
	Go(f func()) bool
	Waiting() int
}

// Service asks the app who may subscribe, on workers with a queue in front of them: a slow app delays only those who need
// its response. No response from before a revocation is good after it. Its methods may be called from any goroutine.
type Service struct {
	Cache       *Cache // nil: nothing is cached
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

// Available reports whether there is somebody to ask.
func (s *Service) Available() bool { return s.o.Authorizer != nil }

// Go runs f, which asks, on a worker when it is its turn. It reports false, and drops f, when the queue is full.
func (s *Service) Go(f func()) bool {
	if s.pool.Go(f) {
		return true
	}
	if total, due := s.queueFull.Due(time.Now()); due {
		s.o.Log.Warn("authorize queue full; is the app slow? see push.authorize_in_flight", "limit", s.o.InFlight, "queued", s.pool.Waiting(), "total", total)
	}
	return false
}

// Ask asks the app, or the cache. It asks once more if something was revoked meanwhile that concerns the subject, who
// gets the user that the app names: the session may have ended, or become another's. seq is then that of the last time,
// and is to be compared again when the response takes effect. setCookie gets what the app sets; nil: nobody wants it. An
// error is counted and logged.
func (s *Service) Ask(r *Request, subject *Subject, seq *uint64, setCookie *[]string) (result Result, err error) {
	for range 2 {
		*seq = s.Revocations.Seq()
		if result, err = s.askOnce(r); err != nil {
			s.errors.Add(1)
			s.o.Log.Error("authorization request failed (push.authorize_path)", "error", err)
			if setCookie != nil { // a token that is good for one use may have been replaced all the same
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
			if len(list) > MaxCredentials { // the end of one that is not known would go unnoticed
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

// askOnce asks the app, or the cache if there is one and one session at most may be meant: any of several may end.
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

// AskAgain asks the app, and not the cache, whether a client may still hold what it holds as user. What is cached of a
// client that may not is evicted. An error is counted.
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

// Renews reports whether the app is asked again about what it has allowed.
func (s *Service) Renews(r *Result) bool { return r.Expires > 0 || len(s.o.LogoutCookies) > 0 }

// Revoke sees to it that no response of the app lets in whom the revocation concerns, neither one that is cached nor one
// that is on its way. What is held is the caller's. The cache comes first: who found a cached response before has begun
// before the revocation, and sees it.
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

// ServiceStats are counts for metrics: requests that failed, that wait, and that found the queue full.
type ServiceStats struct{ Errors, Queued, QueueFull int64 }

// Stats returns the counts until now.
func (s *Service) Stats() ServiceStats {
	return ServiceStats{s.errors.Load(), int64(s.pool.Waiting()), s.queueFull.Total()}
}
