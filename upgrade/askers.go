package upgrade

import (
	"bytes"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/park"
	"holdfast/internal/throttle"
)

const (
	defaultAsking = 64
	askersLine    = 16384            // requests that may wait for the app to be asked
	askersWait    = 30 * time.Second // how long one of them may wait
)

// askers are the workers that wait for the app's answers, with a line in front of them: a slow app delays only those
// who need its answer, and no files, logs or public channels.
type askers struct {
	pool   *park.Pool
	log    *slog.Logger
	limit  int
	failed throttle.Throttle // found the line full
}

func newAskers(o *Options) *askers {
	limit := o.Asking
	if limit <= 0 {
		limit = defaultAsking
	}
	return &askers{pool: o.Poller.NewPool(limit, askersLine), log: o.Log, limit: limit}
}

// run runs f on a worker, when it is its turn. It reports false, and drops f, when the line is full.
func (a *askers) run(f func()) bool {
	if a.pool.Go(f) {
		return true
	}
	if total, due := a.failed.Due(time.Now()); due {
		a.log.Warn("authorize queue full; is the app slow? see push.authorize_in_flight", "limit", a.limit, "queued", a.pool.Waiting(), "total", total)
	}
	return false
}

// needsApp reports whether the head of a request names a channel that the app is asked about.
func (k *Keeper) needsApp(head []byte) bool {
	if k.o.Authorizer == nil {
		return false
	}
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	_, target, _ := bytes.Cut(line, []byte(" "))
	target, _, _ = bytes.Cut(target, []byte(" "))
	_, query, _ := bytes.Cut(target, []byte("?"))
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(query)
	for i, name := range args.PeekMulti("channel") {
		if i > k.o.MaxChannels { // it is refused
			return false
		}
		if auth.Access(k.o.Rules, string(name)) == channel.Authorize {
			return true
		}
	}
	return false
}
