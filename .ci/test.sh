#!/usr/bin/env bash
# Runs every check and every test. A step that fails does not stop the next one; what failed is
# printed in full at the end, then a line per step, then the count of all tests.
set -uo pipefail
cd "$(dirname "$0")/.."

out=.ci/out
rm -rf "$out"
mkdir -p "$out"
: >"$out/steps.tsv"

# A checkout that belongs to another user must not fail the build; nothing here reads the stamp.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# step KIND NAME COMMAND…: KIND is check, judged by its exit code, or test, whose output is that
# of go test -json.
step() {
	local kind=$1 name=$2 start=$SECONDS code=0 file
	shift 2
	file=$out/${name//[^a-z0-9_]/-}
	echo "-> $name"
	"$@" >"$file.out" 2>"$file.err" </dev/null || code=$?
	printf '%s\t%s\t%d\t%d\t%s\n' "$kind" "$name" "$code" "$((SECONDS - start))" "$file" >>"$out/steps.tsv"
}

check() { step check "$@"; }
tests() {
	local name=$1
	shift
	step test "$name" go test -json -count=1 "$@"
}

check install .ci/install.sh
check gofmt .ci/fmt.sh
for name in linux windows darwin park_plain e2e ci; do
	check "vet $name" .ci/vet.sh "$name"
done
check staticcheck .ci/vet.sh staticcheck
tests race -race -timeout 40m ./...
tests "race park_plain" -race -timeout 20m -tags park_plain ./proxy/... ./upgrade/... ./internal/park/... ./internal/tlsconn/...
# The same tests with clients that use TLS, but for those that look at the socket, the scheme or the allocations.
HOLDFAST_TEST_TLS=1.3 tests tls -timeout 15m -skip '^Test(Authorize|BufferedTotal|Faults|FilesAtRandom|ForwardingFields|HoldRefuses|HoldWithoutRequest|OriginBehindAProxy|OriginHint|Origins|OwnAddress|ProxiedRequestAllocatesNothing|ProxyHeaderFromUntrustedPeer|RequestIsRelayed|ResponseIsTakenAhead|RewrittenResponses|SoleSubscriberAllocations|TrickledBodyIsTimedOut)$' ./proxy ./upgrade
tests e2e -timeout 45m -tags e2e -skip '^Test(Cost|App|Wine)' ./internal/e2e/... ./internal/fcgi/... ./internal/tlsconn/...
tests "e2e apps" -timeout 20m -tags e2e -run '^TestApp' ./internal/e2e/...
tests "e2e wine" -timeout 15m -tags e2e -run '^TestWine' ./internal/e2e
tests "e2e costs" -timeout 20m -tags e2e -run '^TestCost' ./internal/e2e/...

go build -o "$out/summary" ./.ci/summary.go || exit 1
exec "$out/summary" "$out/steps.tsv"
