#!/usr/bin/env bash
# Runs every fuzz test of the module in turn, FUZZTIME each. Crashers stay in the package's
# testdata/fuzz, where go test finds them from then on. An input that reaches new code is made smaller for at most 5 s:
# by default for a minute, which may be all of FUZZTIME.
set -uo pipefail
cd "$(dirname "$0")/.."

fuzztime=${FUZZTIME:-30s}
found=0 failed=0
for package in $(go list ./...); do
	for fuzz in $(go test -list '^Fuzz' "$package" | grep '^Fuzz'); do
		found=$((found + 1))
		echo "== $package $fuzz"
		go test -run '^$' -fuzz "^$fuzz\$" -fuzztime "$fuzztime" -fuzzminimizetime 5s "$package" || failed=$((failed + 1))
	done
done
echo "$found fuzz tests of $fuzztime each, $failed failed"
[ "$failed" -eq 0 ]
