package warnings

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"holdfast/internal/answering"
	"holdfast/internal/config"
)

// lookupTime is how long all names of a configuration may take to resolve.
const lookupTime = 3 * time.Second

// Missing returns a warning if c has no channel rules, for each directory that c names and that does not exist, for each
// upstream's name that does not resolve, and for each of its sockets that this user cannot connect to.
func Missing(c *config.Config) (list []string) {
	if len(c.Channels) == 0 {
		list = append(list, "channels is empty: every subscription and every publish is refused")
	}
	directory := func(key, path string) {
		if path == "" {
			return
		}
		if info, err := os.Stat(path); err != nil {
			list = append(list, fmt.Sprintf("%s: %v", key, err))
		} else if !info.IsDir() {
			list = append(list, fmt.Sprintf("%s: %s is not a directory", key, path))
		}
	}
	list = append(append(list, answering.BadUsers(c)...), append(answering.BadPages(c), answering.ClosedToHoldfast(c)...)...)
	directory("buffers.temp_dir", c.Buffers.Folder)
	if path := c.Push.HistoryFile; path != "" {
		directory("push.history_file", filepath.Dir(path))
	}
	if path := c.Log.Access; filepath.IsAbs(path) {
		directory("log.access_log", filepath.Dir(path))
	}
	for i, l := range c.Listen {
		if l.Address.Network == "unix" {
			directory(c.Listen.Key(i), filepath.Dir(l.Address.Address))
		}
	}
	if c.Hooks.Listen.Network == "unix" {
		directory("hooks.listen", filepath.Dir(c.Hooks.Listen.Address))
	}
	var servers []config.Server
	if c.UsesTop() {
		servers = c.Servers()
	}
	c.EachLevel(func(b *config.Block, at ...string) {
		if key := c.Source("root", at[0]); key != "" {
			directory(key, b.Root)
		}
		servers = append(servers, b.OwnServers(c.UpstreamPool)...)
	})
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	seen := map[string]bool{}
	for _, s := range servers {
		if s.URL.Network == "unix" && !seen[s.URL.Address] {
			seen[s.URL.Address] = true
			conn, err := new(net.Dialer).DialContext(ctx, "unix", s.URL.Address)
			if err != nil {
				list = append(list, fmt.Sprintf("upstream %v", err))
				continue
			}
			_ = conn.Close()
		}
		host, _, err := net.SplitHostPort(s.URL.Address)
		if s.URL.Network != "tcp" || err != nil || net.ParseIP(host) != nil || seen[host] {
			continue
		}
		seen[host] = true
		if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
			list = append(list, fmt.Sprintf("upstream %s: %v", host, err))
		}
	}
	return list
}
