#!/usr/bin/env bash
# Installs the programs that the tests talk to, where that is allowed; else says what to install.
set -euo pipefail
PATH="$PATH:/usr/sbin" # where Debian has servers

missing() { # the packages of what is not there
  command -v restic >/dev/null || echo restic
  command -v mariadbd >/dev/null && command -v mariadb-dump >/dev/null || echo mariadb-server
}

packages=$(missing | xargs)
[ -n "$packages" ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing what the tests talk to: $packages"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086  several words
  apt-get install -y -qq $packages >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq $packages >/dev/null; } || true
  packages=$(missing | xargs)
  [ -n "$packages" ] || exit 0
fi

echo "the tests need these, or skip what they would prove with them; on Debian, as root:" >&2
echo "  apt-get install $packages" >&2
[ "${CI:-}" != true ]
