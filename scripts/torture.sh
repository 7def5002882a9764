#!/usr/bin/env bash
# Campaigns of faults, whole, then the tests that draw at random again and again, each time from a
# new seed: torture.sh BIN ROUNDS [CAMPAIGN…]. All of them take most of a day on two cores. Ends at
# the first test that fails, with its seed; what was tried until then stands in a table at the end.
set -euo pipefail
bin=$1 last=$2
shift 2
known="calls storms outages disk kills power clocks servers laws years parsers writes"
wanted=" ${*:-$known} "
for name in $wanted; do
  if [[ " $known " != *" $name "* ]]; then
    echo "no campaign is called $name; there are: $known" >&2
    exit 2
  fi
done
log=build/torture.log
mkdir -p build
: > "$log"

table() {
  if grep -q '^| ' "$log"; then
    printf '\n%s\n|---|---|---|---|---|\n' \
      "$("$bin/python" -c 'from tests.damage.tally import HEAD; print(HEAD)')"
    grep '^| ' "$log"
  fi
}
trap table EXIT

campaign() { # NAME WHAT COMMAND…
  local name=$1 what=$2
  shift 2
  if [[ $wanted != *" $name "* ]]; then return; fi
  echo "$name: $what: began at $(date +%H:%M)" | tee -a "$log"
  "$@" 2>&1 | tee -a "$log"
}

faults() { env HOLDFAST_FAULTS=all "$bin/pytest" -q -s "$@"; }
kills() { env HOLDFAST_KILLS="$1" "$bin/pytest" -q -s "${@:2}"; }
rounds() { env HOLDFAST_ROUNDS="$1" "$bin/pytest" -q -s "${@:2}"; }
parsers() {
  if "$bin/python" -c 'import atheris' 2>/dev/null; then
    "$bin/python" -m tests.fuzz --seconds 60
  else
    echo "no atheris on this machine: the parsers are fuzzed by Hypothesis alone"
  fi
}
network=tests/damage/test_network_campaigns.py

campaign calls "every call of every act over the network, spoiled in every way" \
  faults tests/damage/test_single_faults.py
campaign storms "many faults at once" rounds 1000 -k many_faults $network
campaign outages "the server dies, the line breaks, credentials expire, many write at once" \
  rounds 20 -k "not many_faults" $network tests/damage/test_network_outages.py
campaign disk "a full disk and one that cannot be read, at every call" \
  faults tests/damage/test_failing_disk.py
campaign kills "kill -9 of every act" kills 200 -k kill tests/damage/test_processes.py \
  tests/integration/postgresql/test_killed_acts.py
campaign power "power cuts; root" kills 50 tests/damage/test_power_cuts.py
campaign clocks "clocks that lie" rounds 1000 tests/damage/test_wrong_clocks.py
campaign servers "the storage on both S3 servers" env HOLDFAST_SERVERS=all \
  "$bin/pytest" -q tests/suites/test_storage.py tests/integration/storage

for round in $(seq "$last"); do
  of="round $round of $last"
  campaign laws "the tests that draw, $of" \
    "$bin/pytest" -q --hypothesis-profile=torture tests/property tests/damage tests/interop
  campaign years "three years of a vault, $of" env HOLDFAST_DAYS=1096 \
    "$bin/pytest" -q -s --timeout=1200 tests/damage/test_years.py
  campaign parsers "every parser, $of" parsers
  campaign writes "writes beside a backup of PostgreSQL, $of" env HOLDFAST_STRESS_ROUNDS=100 \
    "$bin/pytest" -q --timeout=1200 tests/integration/postgresql/test_incremental_stress.py
done
