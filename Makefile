# Holdfast. `make help` lists the targets; all of them make ./.venv first.

# The first of these that runs and is new enough; name another with `make PYTHON=…`.
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11; do \
  $$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$one && break; \
  done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH ?=
ROUNDS ?= 20
# Each worker starts its own servers, and a file of tests stays with one of them, in the order in
# which they lie; `make test SIDE_BY_SIDE=` runs one after the other.
SIDE_BY_SIDE ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: help install tools lint check test demo demo-ui disaster up torture bench rescue-kit clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | sort

install: $(STAMP) ## make ./.venv with the exact versions of constraints.txt

$(STAMP): constraints.txt requirements.txt requirements-dev.txt pyproject.toml
	@scripts/make_venv.sh "$(PYTHON)" $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  --requirement requirements.txt --requirement requirements-dev.txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

tools: $(STAMP) ## what only the tests need: stock restic, a real S3 server
	@scripts/install_test_tools.sh
	$(BIN)/python -m tests.servers.rgw --fetch || [ "$$CI" != true ]

lint: $(STAMP) ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## lint and the tests that need no server
	$(BIN)/pytest -q -m "not integration and not interop and not e2e"

demo: $(STAMP) ## the main job on real data, through a real scheduler, in ./.demo
	@$(BIN)/python -m scripts.demo

demo-ui: $(STAMP) ## the Airflow of the last demo, to look around in
	@$(BIN)/python -m scripts.up --demo

disaster: $(STAMP) ## after `make demo`: all but the vault is gone, and comes back in three ways
	@$(BIN)/python -m scripts.disaster

up: $(STAMP) ## an Airflow with your own configuration, in ./.up: a laptop trial
	@$(BIN)/python -m scripts.up

bench: $(STAMP) ## speed and memory beside restic and borg; BENCH="--help" lists the options
	$(BIN)/python -m benchmarks $(BENCH)

torture: tools ## every fault, whole campaigns, most of a day; CAMPAIGN="disk kills" runs some
	@scripts/torture.sh $(BIN) $(ROUNDS) $(CAMPAIGN)

test: tools lint ## everything, with real servers and stock restic
	$(BIN)/pytest -q $(SIDE_BY_SIDE)

rescue-kit: $(STAMP) ## one folder, ./rescue-kit, that restores without a network; keys in the environment
	@$(BIN)/python -m include.backup rescue-kit --to rescue-kit

clean: ## remove what the targets made; .venv stays, and so does .up, which may hold keys
	rm -rf .demo build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
