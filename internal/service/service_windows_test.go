package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/windows/svc"
)

// events records what is reported.
type events []string

func (e *events) add(kind string, id uint32, text string) error {
	*e = append(*e, fmt.Sprint(kind, " ", id, " ", text))
	return nil
}

func (e *events) Info(id uint32, text string) error    { return e.add("info", id, text) }
func (e *events) Warning(id uint32, text string) error { return e.add("warning", id, text) }
func (e *events) Error(id uint32, text string) error   { return e.add("error", id, text) }

func TestEventLog(t *testing.T) {
	var got events
	lines := "time=1 level=INFO msg=a b=\"level=ERROR\"\n" +
		"time=1 level=WARN msg=a\ntime=1 level=ERROR msg=a\n\n" +
		`{"time":"1","level":"WARN","msg":"a"}` + "\n" +
		"2 log lines dropped\nlast\x00without end"
	if n, err := (eventLog{&got}).Write([]byte(lines)); err != nil || n != len(lines) {
		t.Fatal(n, err)
	}
	want := events{
		`info 1 time=1 level=INFO msg=a b="level=ERROR"`,
		"warning 1 time=1 level=WARN msg=a", "error 1 time=1 level=ERROR msg=a",
		`warning 1 {"time":"1","level":"WARN","msg":"a"}`,
		"info 1 2 log lines dropped", "info 1 last�without end",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got = nil
	if _, err := (eventLog{&got}).Write(bytes.Repeat([]byte("ä"), maxEvent)); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || len(got[0]) > maxEvent+20 {
		t.Errorf("a long line became %d events", len(got))
	}
}

// TestConsole: without the service manager the program runs with the standard error that it was given.
func TestConsole(t *testing.T) {
	failure := errors.New("failure")
	var errs bytes.Buffer
	err := Run(&errs, func(ctx context.Context, w io.Writer, ready func()) error {
		ready()
		fmt.Fprint(w, "written")
		return errors.Join(failure, ctx.Err())
	})
	if err == nil || err.Error() != "failure" || errs.String() != "written" {
		t.Errorf("%v, %q", err, errs.String())
	}
}

// TestExecute: the manager is told of each state, and a program that fails is one that failed for the manager, too.
func TestExecute(t *testing.T) {
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chdir(folder) })
	failure := errors.New("failure")
	for name, tt := range map[string]struct {
		program Program
		states  []svc.State // without repetitions
		code    uint32
		err     error
	}{
		"stops": {func(ctx context.Context, _ io.Writer, ready func()) error {
			ready()
			<-ctx.Done()
			return nil
		}, []svc.State{svc.StartPending, svc.Running, svc.StopPending}, 0, nil},
		"can't start": {func(context.Context, io.Writer, func()) error { return failure },
			[]svc.State{svc.StartPending}, failed, failure},
		"ends by itself": {func(_ context.Context, _ io.Writer, ready func()) error {
			ready()
			return failure
		}, nil, failed, failure}, // it may end before it is seen to run
	} {
		t.Run(name, func(t *testing.T) {
			h := &handler{program: func(ctx context.Context, w io.Writer, ready func()) error {
				if got, _ := os.Getwd(); !strings.EqualFold(got, filepath.Dir(os.Args[0])) {
					t.Errorf("the folder is %s", got)
				}
				return tt.program(ctx, w, ready)
			}}
			requests, status := make(chan svc.ChangeRequest), make(chan svc.Status)
			codec := make(chan uint32)
			go func() {
				_, code := h.Execute([]string{"Holdfast"}, requests, status)
				codec <- code
			}()
			var states []svc.State
			for {
				select {
				case s := <-status:
					if len(states) == 0 || states[len(states)-1] != s.State {
						states = append(states, s.State)
						if s.State == svc.Running && name == "stops" {
							go func() { requests <- svc.ChangeRequest{Cmd: svc.Stop, CurrentStatus: s} }()
						}
					}
					continue
				case code := <-codec:
					if code != tt.code || !errors.Is(h.err, tt.err) || tt.states != nil && !slices.Equal(states, tt.states) {
						t.Errorf("code %d, error %v, states %v", code, h.err, states)
					}
				}
				break
			}
		})
	}
}
