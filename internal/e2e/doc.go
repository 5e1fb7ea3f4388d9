// Package e2e tests Holdfast from the outside: the real binary in front of real apps, on free
// loopback ports, with its own configuration and data in a temporary folder.
//
//	go test -tags e2e ./internal/e2e/
//
// The tests run on Linux and want the Debian packages that .ci/install.sh installs; a missing one
// is a failure that names it. Those called TestCost… measure the memory of the process, and are
// best run with nothing else on the machine.
package e2e
