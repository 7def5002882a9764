#!/usr/bin/env bash
# Installs the programs that the tests talk to, where that is allowed; else says what to install.
set -euo pipefail
PATH="$PATH:/usr/sbin" # where Debian has servers

have_restic() { command -v restic >/dev/null; }
have_strace() { command -v strace >/dev/null; }
have_mariadb-server() { command -v mariadbd >/dev/null && command -v mariadb-dump >/dev/null; }
have_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

missing=()
for package in restic postgresql mariadb-server strace; do
  "have_$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing what the tests talk to: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # The tests start servers of their own; none is to be made or started with the package.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get install -y -qq "${missing[@]}" >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq "${missing[@]}" >/dev/null; } || true
fi

failed=0
for package in "${missing[@]}"; do
  "have_$package" && continue
  echo "the tests need $package, or skip what they would prove with it; on Debian, as root:" >&2
  echo "  apt-get install $package" >&2
  failed=1
done
[ $failed -eq 0 ] || [ "${CI:-}" != true ]
