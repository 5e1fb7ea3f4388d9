package config

import (
	"fmt"
	"strings"
	"time"
)

func (d *decoder) ranges(c *Config) {
	inRange(d, "external.port", c.External.Port, 1, 65535, "what Host says, or else the scheme's")
	inRange(d, "hooks.max_body", c.Hooks.MaxBody, 1*KB, 1*GB, "")
	inRange(d, "hooks.idempotency_age", c.Hooks.IdempotencyAge, seconds(1), Duration(24*time.Hour), "")
	inRange(d, "hooks.idempotency_size", c.Hooks.IdempotencySize, 64*KB, 1*GB, "")
	d.pushRanges(&c.Push)
	(&levelCheck{d, &c.Block, ""}).ranges()
	d.poolRanges(&c.UpstreamPool)
}

func (d *decoder) pushRanges(p *Push) {
	inRange(d, "push.authorize_in_flight", p.AuthorizeInFlight, 1, 1000, "")
	inRange(d, "push.authorize_timeout", p.AuthorizeTimeout, shortest, seconds(60), "")
	inRange(d, "push.jwt.leeway", p.JWT.Leeway, seconds(1), seconds(300), "none")
	inRange(d, "push.authorize_cache", p.AuthorizeCache, seconds(1), seconds(600), "off")
	inRange(d, "push.authorize_grace", p.AuthorizeGrace, seconds(1), Duration(time.Hour), "none")
	inRange(d, "push.heartbeat", p.Heartbeat, seconds(1), seconds(600), "off")
	inRange(d, "push.poll_wait", p.Wait, seconds(1), Duration(time.Hour), "")
	inRange(d, "push.poll_max_wait", p.MaxWait, seconds(1), Duration(time.Hour), "")
	inRange(d, "push.max_channels", p.MaxChannels, 1, 10_000, "")
	inRange(d, "push.max_message", p.MaxMessage, 1, 64*MB, "")
	inRange(d, "push.compress_min_size", p.Compress, 64, 1*MB, "off")
	inRange(d, "push.message_timeout", p.MessageTimeout, shortest, seconds(60), "")
	inRange(d, "push.max_reply", p.MaxReply, 1, 64*MB, "")
	inRange(d, "push.message_in_flight", p.MessageInFlight, 1, 1000, "")
	inRange(d, "push.message_rate", p.MessageRate, 1, 10_000, "")
	inRange(d, "push.send_queue", p.SendQueue, 4*KB, 1*GB, "")
	inRange(d, "push.send_queue_total", p.SendQueueTotal, 4*KB, 1*TB, "")
	inRange(d, "push.receive_total", p.ReceiveTotal, 64*KB, 1*TB, "")
	inRange(d, "push.receive_timeout", p.ReceiveTimeout, seconds(1), seconds(600), "")
	inRange(d, "push.watch_in_flight", p.WatchInFlight, 1, 1000, "")
	inRange(d, "push.watch_timeout", p.WatchTimeout, shortest, seconds(60), "")
	inRange(d, "push.watch_max_reply", p.WatchMaxReply, 1, 64*MB, "")
	inRange(d, "push.watch_channels", p.WatchChannels, 1, 100_000, "")
	inRange(d, "push.max_connections", p.MaxConnections, 1, maxConnections, "bounded by the file limit")
	inRange(d, "push.max_connections_per_user", p.MaxPerUser, 1, maxConnections, "any number")
	inRange(d, "push.history_total", p.HistoryTotal, 1*KB, 1*TB, "")
}

func (d *decoder) poolRanges(u *UpstreamPool) {
	inRange(d, "upstream_pool.max_idle", u.Idle, 1, 100_000, "none are kept")
	inRange(d, "upstream_pool.max_conns", u.MaxConns, 1, maxConnections, "any number")
	inRange(d, "upstream_pool.max_queue", u.Queue, 1, maxConnections, "no queue")
	inRange(d, "upstream_pool.queue_timeout", u.QueueTimeout, shortest, Duration(time.Hour), "")
	inRange(d, "upstream_pool.max_fails", u.MaxFails, 1, 1000, "never")
	inRange(d, "upstream_pool.fail_timeout", u.FailTimeout, shortest, Duration(time.Hour), "")
	inRange(d, "upstream_pool.health_check_interval", u.CheckEvery, shortest, Duration(time.Hour), "")
	if problem := authorizeProblem(u.Check); problem != "" {
		d.add("upstream_pool.health_check_path", show(u.Check)+" "+problem+"; want a path on the app such as /health")
	}
	if strings.Trim(u.Sticky, lettersDigits+"-_") != "" {
		d.add("upstream_pool.sticky", show(u.Sticky)+" has other characters than letters, digits, - and _")
	}
	inRange(d, "upstream_pool.idle_timeout", u.IdleTimeout, shortest, Duration(time.Hour), "")
}

// shortest is the least timeout: below it, a machine that is merely busy would time out.
const shortest = Duration(100 * time.Millisecond)

// inRange reports a value outside lo to hi. zero says what 0 means where 0 is allowed too.
func inRange[T int | Duration | Size](d *decoder, key string, got, lo, hi T, zero string) {
	if lo <= got && got <= hi || got == 0 && zero != "" {
		return
	}
	want := fmt.Sprintf("%v to %v", lo, hi)
	if zero != "" {
		want = fmt.Sprintf("0 (%s) or %s", zero, want)
	}
	d.add(key, fmt.Sprintf("%v is out of range; want %s", got, want))
}
