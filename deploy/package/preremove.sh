#!/bin/sh
# Before the files go: "remove" of Debian, 0 of RPM. An upgrade leaves the service as it is.
set -e
[ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ] || exit 0
case "$1" in
remove | 0) systemctl disable --now holdfast.service ;;
esac
