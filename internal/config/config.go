package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"holdfast/internal/config/value"
)

// maxFile is far beyond any real configuration; it keeps a wrong path (a log, a device) from
// being read into memory.
const maxFile = 1 * MB

// Config is a whole config.yaml. Parse and Load return it checked; nothing changes it afterwards.
//
// In the tags, yaml is the key and eg an example for the error that a wrong type earns.
type Config struct {
	Listen         Listeners `yaml:"listen"`
	Block          `yaml:",inline"`
	Routes         []Route        `yaml:"routes" eg:"[{match: /shop, upstream: http://127.0.0.1:8082}]"`
	Sites          []Site         `yaml:"sites" eg:"[{hosts: [www.example.com], upstream: http://127.0.0.1:8082}]"` // empty: one for all hosts
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" eg:"[10.0.0.0/8]"`
	ProxyProtocol  bool           `yaml:"proxy_protocol"`
	TLS            TLS            `yaml:"tls"`
	External       External       `yaml:"external"`
	RedirectHTTPS  bool           `yaml:"redirect_https"`
	Hooks          Hooks          `yaml:"hooks"`
	Push           Push           `yaml:"push"`
	Events         Events         `yaml:"events"`
	Channels       []Channel      `yaml:"channels" eg:"[{match: \"public.**\", access: public}]"`
	Watch          []Watch        `yaml:"watch" eg:"[{channel: \"parcel.{id}\", url: \"/status.php?id={id}\"}]"`
	CacheLimits    CacheLimits    `yaml:"cache_limits"`
	UpstreamPool   UpstreamPool   `yaml:"upstream_pool"`
	Log            Log            `yaml:"log"`

	digest string         // of the file
	lines  map[string]int // of the keys that the file has, by their paths; nil: the configuration is no file's
}

// External is the scheme and port that clients use, unless a trusted proxy reports them.
type External struct {
	Scheme string `yaml:"scheme" eg:"https"`
	Port   int    `yaml:"port" eg:"8443"` // 0: the one in Host, or the scheme's
}

// Hooks configures the API listener.
type Hooks struct {
	Listen  Listen   `yaml:"listen"`
	Token   string   `yaml:"token" eg:"the output of \"openssl rand -hex 16\""`
	Hosts   []string `yaml:"hosts" eg:"[holdfast.internal]"` // lower case, without ports
	Page    string   `yaml:"page" eg:"publish"`              // one of pageModes
	MaxBody Size     `yaml:"max_body"`

	IdempotencyAge  Duration `yaml:"idempotency_age"`
	IdempotencySize Size     `yaml:"idempotency_size"`
}

// Server is one of several upstreams.
type Server struct {
	URL      Upstream `yaml:"url"`
	MaxConns int      `yaml:"max_conns"` // 0: upstream_pool.max_conns
	Backup   bool     `yaml:"backup"`
	Route    string   `yaml:"sticky_route" eg:"node1"`
}

// UpstreamPool configures the idle connections, queues, failures, stickiness and health checks of all upstreams.
type UpstreamPool struct {
	Idle        int      `yaml:"max_idle"` // 0: none are kept
	IdleTimeout Duration `yaml:"idle_timeout"`

	MaxConns     int      `yaml:"max_conns"` // of one upstream; 0: any number
	Queue        int      `yaml:"max_queue"` // 0: no queue
	QueueTimeout Duration `yaml:"queue_timeout"`

	MaxFails     int      `yaml:"max_fails"` // 0: an upstream is never marked down
	FailTimeout  Duration `yaml:"fail_timeout"`
	NextUpstream string   `yaml:"next_upstream"` // one of nextUpstream
	Sticky       string   `yaml:"sticky" eg:"JSESSIONID"`
	Check        string   `yaml:"health_check_path" eg:"/health"` // empty: none
	CheckEvery   Duration `yaml:"health_check_interval"`
}

// Log says what is written and how; Level and the formats hold one of the words in the lists below.
type Log struct {
	Level        string `yaml:"level" eg:"info"`
	Format       string `yaml:"format" eg:"text"`
	Access       string `yaml:"access_log" eg:"/var/log/holdfast/access.log"` // empty: none; or stdout, stderr
	AccessFormat string `yaml:"access_format" eg:"combined"`
}

var (
	nextUpstream = []string{"error timeout", "error", "off"}
	logLevels    = []string{"debug", "info", "warn", "error"}
	schemes      = []string{"http", "https"}
	logFormats   = []string{"text", "json"}
	pageModes    = []string{"read", "publish", "off"}

	accessFormats = []string{"combined", "combined_cache", "combined_trace", "json"}
)

// Default has the default of every key, which is what an empty file means; ranges.go has their ranges. It has no channel
// rule, so every channel is refused.
func Default() *Config {
	return &Config{
		Listen:   Listeners{{Address: Listen{Network: "tcp", Address: "127.0.0.1:8080"}}},
		Block:    defaultBlock(),
		TLS:      value.DefaultTLS(),
		External: External{Scheme: "http"},
		Hooks: Hooks{
			Listen:  Listen{Network: "tcp", Address: "127.0.0.1:9090"},
			Page:    "read",
			MaxBody: 1 * MB,

			IdempotencyAge:  Duration(10 * time.Minute),
			IdempotencySize: 16 * MB,
		},
		Push: Push{
			Path:              "/_push",
			AuthorizeTimeout:  seconds(5),
			AuthorizeInFlight: 64,
			AuthorizeGrace:    seconds(30),
			JWT:               JWT{Leeway: seconds(30)},
			Heartbeat:         seconds(25),
			Wait:              seconds(25),
			MaxWait:           seconds(120),
			MaxChannels:       32,
			MaxMessage:        64 * KB,
			MessageTimeout:    seconds(10),
			MaxReply:          64 * KB,
			MessageInFlight:   16,
			MessageRate:       10,
			SendQueue:         256 * KB,
			SendQueueTotal:    64 * MB,
			ReceiveTotal:      64 * MB,
			ReceiveTimeout:    seconds(30),
			WatchInFlight:     16,
			WatchTimeout:      seconds(5),
			WatchMaxReply:     64 * KB,
			WatchChannels:     10_000,
			HistoryTotal:      64 * MB,
		},
		Events: Events{
			Grace: seconds(5), Batch: 100, Delay: shortest, Timeout: seconds(5), Queue: 10_000, QueueSize: 4 * MB,
		},
		CacheLimits: CacheLimits{Size: 64 * MB, SessionSize: 1 * MB, Wait: seconds(10), HeldSize: 16 * MB},
		UpstreamPool: UpstreamPool{
			Idle: 64, IdleTimeout: seconds(4), Queue: 1024, QueueTimeout: seconds(30),
			MaxFails: 1, FailTimeout: seconds(10), NextUpstream: "error timeout", CheckEvery: seconds(5),
		},
		Log: Log{Level: "info", Format: "text", AccessFormat: "combined"},
	}
}

// Load reads the file at path. The error is an Errors unless the file could not be read.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	// One byte more than Parse accepts, so that it sees the file is too long.
	data, err := io.ReadAll(io.LimitReader(f, int64(maxFile)+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	c, err := Parse(path, data)
	if err == nil {
		sum := sha256.Sum256(data)
		c.digest = hex.EncodeToString(sum[:6])
	}
	return c, err
}

// Digest returns a text that differs between files; empty if the configuration is no file's.
func (c *Config) Digest() string { return c.digest }

// Parse reads data; name stands for the file in errors. The error is an Errors, in the order of
// the file.
func Parse(name string, data []byte) (*Config, error) {
	d := newDecoder(name)
	if len(data) > int(maxFile) {
		d.addAt(mark{}, "", fmt.Sprintf("the file is larger than %s", maxFile))
		return nil, d.errs
	}
	root := d.read(data)
	c := Default()
	if root != nil {
		d.document(root, c)
	}
	c.lines = map[string]int{}
	for key, has := range d.given {
		if has {
			c.lines[key] = max(d.at[key].line, 1)
		}
	}
	d.validate(c)
	if len(d.errs) > 0 {
		d.errs.Sort()
		return nil, d.errs
	}
	return c, nil
}
