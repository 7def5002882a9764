#!/usr/bin/env bash
# Makes the virtual environment: make_venv.sh PYTHON FOLDER. Says what is missing in one line.
set -euo pipefail
python=$1 folder=$2

if ! "${python:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Holdfast needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12 install" >&2
  exit 2
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "$python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2
  exit 2
fi
# An interpreter that was removed or replaced leaves a folder that looks whole and does not run.
if [ -e "$folder" ] && ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
  rm -rf "$folder"
fi
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
