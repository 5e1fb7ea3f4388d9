#!/bin/sh
# After the files have gone. The user stays: files of its own may be left in /var/lib/holdfast and /var/log/holdfast.
[ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || echo "holdfast: run: systemctl daemon-reload" >&2
exit 0
