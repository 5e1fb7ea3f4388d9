# Sourced: version and SOURCE_DATE_EPOCH of the commit that is checked out. A tag v1.2.3 gives 1.2.3; without one the
# version sorts by the time of the commit, and below every tag.

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
if [ -n "${VERSION:-}" ]; then # a test of an upgrade
	version=$VERSION
elif tag=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null); then
	version=${tag#v}
else
	version=0.0.0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$(git rev-parse --short=12 HEAD)
fi
