#!/usr/bin/env bash
# Installs the programs that the tests talk to, where that is allowed; else says what to install.
set -euo pipefail

missing=()
command -v restic >/dev/null || missing+=(restic)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq "${missing[@]}" >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -y -qq "${missing[@]}" >/dev/null
  }
  exit 0
fi

echo "the tests need ${missing[*]}; as root: apt-get install ${missing[*]}"
[ "${CI:-}" != true ] || exit 1
