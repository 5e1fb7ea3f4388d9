// Package server builds the packages of Holdfast from a configuration, introduces them to each other, and
// starts and stops them.
//
//	config -> New -> access log, listeners, poller, history, keeper, proxy, hooks -> Serve -> drain -> stop
//
// proxy, upgrade and hooks do not import each other: wiring.go, events.go and history.go hand each one what
// it needs of the others as functions and small interfaces. What New opens and Serve starts is recorded in one
// lifecycle, which stops it in reverse, also when New fails halfway.
package server
