package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

const (
	// While the service starts or stops, the manager is told each progressEvery that it still does. Past progressHint without
	// that, the manager takes it for hung.
	progressEvery = time.Second
	progressHint  = 10 * time.Second

	failed = 1 // exit code of a service whose program has returned an error
)

// Run runs the program and returns its error. In a service, ctx of the program ends when the service manager stops the
// service or shuts the system down, its errs is the event log, and its folder that of the program file. No signal ends it:
// Windows sends one to every service when a user logs off.
func Run(errs io.Writer, program Program) error {
	if !mayBeService() {
		return run(errs, program)
	}
	h := &handler{program: program}
	// The manager knows the only service of a process without its name.
	err := svc.Run("", h)
	switch {
	case errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT): // the manager has not started this process
		return run(errs, program)
	case err != nil:
		return fmt.Errorf("service manager: %w", err)
	}
	return h.err
}

// mayBeService returns false if the process that has started this one is not the service manager. Otherwise it is for the
// manager to say; svc.IsWindowsService would look at the session, too, which wine does not give services.
func mayBeService() bool {
	processes, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return true
	}
	defer windows.CloseHandle(processes)
	parent := uint32(os.Getppid())
	p := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err := windows.Process32First(processes, &p); err == nil; err = windows.Process32Next(processes, &p) {
		if p.ProcessID == parent {
			return strings.EqualFold(windows.UTF16ToString(p.ExeFile[:]), "services.exe")
		}
	}
	return false // it has ended, as the manager never does
}

type handler struct {
	program Program
	err     error // of the program; valid once svc.Run has returned
}

// Execute implements svc.Handler. The first argument is the name of the service.
func (h *handler) Execute(args []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	pending := func(state svc.State, step uint32) {
		status <- svc.Status{State: state, CheckPoint: step, WaitHint: uint32(progressHint / time.Millisecond)}
	}
	pending(svc.StartPending, 0)
	log, err := openLog(args[0])
	if err != nil {
		h.err = err
		return true, failed
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	readyc, donec := make(chan struct{}), make(chan error, 1)
	go func() { donec <- start(ctx, h.program, log, sync.OnceFunc(func() { close(readyc) })) }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	state, step := svc.StartPending, uint32(0)
	for {
		select {
		case <-readyc:
			readyc = nil
			state = svc.Running
			status <- svc.Status{State: state, Accepts: svc.AcceptStop | svc.AcceptShutdown}
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				cancel()
				state = svc.StopPending
				pending(state, step)
			}
		case <-tick.C:
			if state != svc.Running {
				step++
				pending(state, step)
			}
		case h.err = <-donec:
			if h.err != nil {
				fmt.Fprintf(log, "level=ERROR the service has ended: %v\n", h.err)
				return true, failed
			}
			return false, 0
		}
	}
}

// start runs the program in the folder of its file: the manager has started it in that of the system.
func start(ctx context.Context, program Program, log io.Writer, ready func()) error {
	file, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Chdir(filepath.Dir(file)); err != nil {
		return err
	}
	return program(ctx, log, ready)
}
