#!/usr/bin/env bash
# Installs the programs that the tests talk to, where that is allowed; else says what to install.
set -euo pipefail

command -v restic >/dev/null && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing restic, which the tests compare with"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq restic >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq restic >/dev/null; } || true
  command -v restic >/dev/null && exit 0
fi

echo "the tests need restic, or skip what they would prove with it; on Debian, as root:" >&2
echo "  apt-get install restic" >&2
[ "${CI:-}" != true ]
