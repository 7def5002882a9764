#!/usr/bin/env bash
# Runs the tests that draw at random again and again, each time from a new seed:
# torture.sh BIN ROUNDS. Stops at the first failure, which Hypothesis remembers for the next run.
set -euo pipefail
bin=$1 rounds=$2

echo "every call of every act over the network, spoiled in every way; over an hour"
HOLDFAST_FAULTS=all "$bin/pytest" -q -s tests/damage/test_single_faults.py
echo "many faults at once"
HOLDFAST_ROUNDS=1000 "$bin/pytest" -q -s tests/damage/test_network_campaigns.py -k many_faults
HOLDFAST_ROUNDS=20 "$bin/pytest" -q -s -k "not many_faults" \
  tests/damage/test_network_campaigns.py tests/damage/test_network_outages.py
echo "a full disk and one that cannot be read, at every call; over an hour"
HOLDFAST_FAULTS=all "$bin/pytest" -q -s tests/damage/test_failing_disk.py
echo "kill -9 and power cuts"
HOLDFAST_KILLS=200 "$bin/pytest" -q -s -k kill_9 tests/damage/test_processes.py
HOLDFAST_KILLS=200 "$bin/pytest" -q -s tests/integration/postgresql/test_killed_acts.py
HOLDFAST_KILLS=50 "$bin/pytest" -q -s tests/damage/test_power_cuts.py
echo "clocks that lie"
HOLDFAST_ROUNDS=1000 "$bin/pytest" -q -s tests/damage/test_wrong_clocks.py
echo "the storage on both S3 servers"
HOLDFAST_SERVERS=all "$bin/pytest" -q tests/suites/test_storage.py tests/integration/storage

for round in $(seq "$rounds"); do
  echo "round $round of $rounds"
  "$bin/pytest" -q --hypothesis-profile=torture tests/property tests/damage tests/interop
  HOLDFAST_DAYS=1096 "$bin/pytest" -q -s --timeout=1200 tests/damage/test_years.py
  if "$bin/python" -c 'import atheris' 2>/dev/null; then
    "$bin/python" -m tests.fuzz --seconds 60
  else
    echo "no atheris on this machine: the parsers are fuzzed by Hypothesis alone" >&2
  fi
  HOLDFAST_STRESS_ROUNDS=100 "$bin/pytest" -q --timeout=1200 \
    tests/integration/postgresql/test_incremental_stress.py
done
