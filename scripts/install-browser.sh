#!/usr/bin/env bash
# Make sure that the browser tests find a Chromium: the system's, else Debian's package, else the
# one that Playwright downloads.  Usage: install-browser.sh VENV_BIN
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
	if command -v "$name" >/dev/null; then
		exit 0
	fi
done
if command -v apt-get >/dev/null; then
	as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		as_root=(sudo -n)
	fi
	echo "installing chromium ..."
	if "${as_root[@]}" apt-get update -qq && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends chromium >/dev/null; then
		exit 0
	fi
fi
echo "downloading Playwright's Chromium ..."
exec "$1/playwright" install chromium
