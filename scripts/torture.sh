#!/usr/bin/env bash
# Every campaign of faults, whole, then the tests that draw at random again and again, each time
# from a new seed: torture.sh BIN ROUNDS. Most of a day on two cores. Ends at the first test that
# fails, with its seed; what was tried until then stands in a table at the end.
set -euo pipefail
bin=$1 rounds=$2
log=build/torture.log
mkdir -p build
: > "$log"

table() {
  if grep -q '^| ' "$log"; then
    printf '\n%s\n|---|---|---|---|---|\n' "$("$bin/python" -c 'from tests.damage.tally import HEAD; print(HEAD)')"
    grep '^| ' "$log"
  fi
}
trap table EXIT

campaign() { # WHAT COMMAND…
  echo "$1: began at $(date +%H:%M)" | tee -a "$log"
  shift
  "$@" 2>&1 | tee -a "$log"
}

campaign "every call of every act over the network, spoiled in every way" \
  env HOLDFAST_FAULTS=all "$bin/pytest" -q -s tests/damage/test_single_faults.py
campaign "many faults at once" \
  env HOLDFAST_ROUNDS=1000 "$bin/pytest" -q -s -k many_faults tests/damage/test_network_campaigns.py
campaign "the server dies, the line breaks, credentials expire, many write at once" \
  env HOLDFAST_ROUNDS=20 "$bin/pytest" -q -s -k "not many_faults" \
  tests/damage/test_network_campaigns.py tests/damage/test_network_outages.py
campaign "a full disk and one that cannot be read, at every call" \
  env HOLDFAST_FAULTS=all "$bin/pytest" -q -s tests/damage/test_failing_disk.py
campaign "kill -9 of every act" \
  env HOLDFAST_KILLS=200 "$bin/pytest" -q -s -k kill \
  tests/damage/test_processes.py tests/integration/postgresql/test_killed_acts.py
campaign "power cuts" \
  env HOLDFAST_KILLS=50 "$bin/pytest" -q -s tests/damage/test_power_cuts.py
campaign "clocks that lie" \
  env HOLDFAST_ROUNDS=1000 "$bin/pytest" -q -s tests/damage/test_wrong_clocks.py
campaign "the storage on both S3 servers" \
  env HOLDFAST_SERVERS=all "$bin/pytest" -q tests/suites/test_storage.py tests/integration/storage

for round in $(seq "$rounds"); do
  echo "round $round of $rounds"
  campaign "laws" \
    "$bin/pytest" -q --hypothesis-profile=torture tests/property tests/damage tests/interop
  campaign "three years" \
    env HOLDFAST_DAYS=1096 "$bin/pytest" -q -s --timeout=1200 tests/damage/test_years.py
  if "$bin/python" -c 'import atheris' 2>/dev/null; then
    campaign "parsers" "$bin/python" -m tests.fuzz --seconds 60
  else
    echo "no atheris on this machine: the parsers are fuzzed by Hypothesis alone" >&2
  fi
  campaign "writes beside a backup of PostgreSQL" \
    env HOLDFAST_STRESS_ROUNDS=100 "$bin/pytest" -q --timeout=1200 \
    tests/integration/postgresql/test_incremental_stress.py
done
