#!/bin/sh
# Before the files go: "remove" of Debian, 0 of RPM. An upgrade leaves the service as it is; RPM calls this with 1 then, after
# the new version has taken over.
[ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ] || exit 0
case "${1:-}" in
remove | 0)
	systemctl disable --now holdfast.service ||
		echo "holdfast: the service could not be stopped; see: systemctl status holdfast" >&2
	;;
esac
exit 0
