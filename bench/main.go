// Command bench runs Holdfast and its peers side by side and writes tables and plots.
//
//	go run . [-quick] [-rounds 3] [-only idle,fanout] [-peers holdfast,nginx] [-out results] [-name latest]
//
// Every measure of every peer in every round is a cell, and runs in a process of its own, which is this program
// again with the word cell and the cell's description on standard input.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/measure"
	"holdfast/bench/peer"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "cell" {
		os.Exit(cell())
	}
	o := options{}
	var only, peers string
	flag.BoolVar(&o.quick, "quick", false, "one round, fewer sizes, shorter spans: about six minutes")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, in turn")
	flag.StringVar(&only, "only", "", "measures: "+strings.Join(measures, ",")+"; default all")
	flag.StringVar(&peers, "peers", "", "peers by name; default all")
	flag.StringVar(&o.out, "out", "results", "folder for what is found")
	flag.StringVar(&o.name, "name", "", "name of the files; default latest, or partial if not everything ran")
	flag.IntVar(&o.parallel, "parallel", 8, "cells at a time in the measures of memory, where time does not matter")
	flag.StringVar(&o.holdfast, "holdfast", "", "a built holdfast to measure, instead of the one of this tree")
	flag.BoolVar(&o.verbose, "v", false, "print every figure as it comes")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.only, o.peers = list(only), list(peers)
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// cell measures one cell. It keeps to one thread, which the kernel ties the servers' lives to, and on a signal stops
// its server and ends.
func cell() int {
	runtime.LockOSThread()
	var spec measure.Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	begun := time.Now()
	figures, err := measure.Run(spec, func(server *peer.Server) {
		go func() {
			<-signals
			server.Stop()
			os.Exit(1)
		}()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	json.NewEncoder(os.Stdout).Encode(result{figures, time.Since(begun).Seconds()})
	return 0
}

type result struct {
	Figures []measure.Figure
	Seconds float64
}
