# Names for the scripts in .ci/, which CI runs too.

BENCH =

.PHONY: bench demo fmt fuzz package release steps test vet

bench: # install the peers (Debian, as root) and run side by side; BENCH=-quick for six minutes
	.ci/bench.sh $(BENCH)

demo: # the parcel-tracking page, by polling and by push
	go run . demo

fmt: # rewrite the Go files that gofmt would write differently
	.ci/fmt.sh -w

fuzz: # every fuzz test in turn, FUZZTIME (30s) each
	.ci/fuzz.sh

package: # .deb and .rpm for amd64 and arm64, into dist/
	.ci/package.sh

release: # all that is published, for Linux, macOS and Windows, into dist/
	.ci/release.sh

steps: # measure the steps of docs/tutorials/stop-polling.md; nine minutes, writes .ci/out/steps.md
	go test -tags 'e2e steps' ./internal/e2e -run TestSteps -v -timeout 30m

test: # install what the tests need (Debian, as root), then run everything
	.ci/test.sh

vet: # go vet for each system and build tag, and staticcheck
	.ci/vet.sh
