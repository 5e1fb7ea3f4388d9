package peer

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a server and the processes it started.
type Process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

// start runs a command and waits until something accepts at addr.
func start(addr netip.AddrPort, name string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // nothing outlives a run that is killed
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", addr.String(), time.Second); err == nil {
			c.Close()
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended: %s", name, p.output.String())
		default:
		}
	}
	p.Stop()
	return nil, fmt.Errorf("%s does not accept at %s: %s", name, addr, p.output.String())
}

// Stop ends the server, by SIGTERM and after five seconds by SIGKILL.
func (p *Process) Stop() {
	pids := p.pids()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		<-p.ended
	}
}

// pids is the process and its descendants.
func (p *Process) pids() []int {
	parents := map[int]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	var family []int
	for pid := range parents {
		for up := pid; up > 1; up = parents[up] {
			if up == p.cmd.Process.Pid {
				family = append(family, pid)
				break
			}
		}
	}
	return family
}

// Memory is what all processes of the server hold.
type Memory struct {
	Private int64 // bytes that no other process maps: Private_Clean and Private_Dirty
	Dirty   int64 // Private_Dirty alone: without the program's text
	Pss     int64 // bytes with each shared page divided by those who map it
}

func (p *Process) Memory() (Memory, error) {
	var m Memory
	for _, pid := range p.pids() {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return m, fmt.Errorf("memory of the server: %w", err)
		}
		m.add(string(data))
	}
	return m, nil
}

func (m *Memory) add(rollup string) {
	for line := range strings.Lines(rollup) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kb, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "Private_Clean:":
			m.Private += kb << 10
		case "Private_Dirty:":
			m.Private += kb << 10
			m.Dirty += kb << 10
		case "Pss:":
			m.Pss += kb << 10
		}
	}
}

// CPU is the time that all threads of the server have run. It is the sum that utime and stime in /proc/PID/stat
// split, read in nanoseconds from schedstat, so that a second of idling can be seen.
func (p *Process) CPU() time.Duration {
	var sum time.Duration
	for _, pid := range p.pids() {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			first, _, _ := strings.Cut(string(data), " ")
			n, _ := strconv.ParseInt(first, 10, 64)
			sum += time.Duration(n)
		}
	}
	return sum
}

// freePort is a port of 127.0.0.1 that nobody listens on.
func freePort() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}
