# Holdfast. `make help` lists the targets; all of them make ./.venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install check lint test tools bench clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | sort

install: $(STAMP) ## make ./.venv with the exact versions of constraints.txt

$(STAMP): constraints.txt requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Holdfast needs Python 3.11 or newer; name one: make PYTHON=python3.12 install"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  --requirement requirements.txt --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

tools: $(STAMP) ## what only the tests need: stock restic, a real S3 server
	@scripts/install_test_tools.sh
	$(BIN)/python -m tests.servers.rgw --fetch

lint: $(STAMP) ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## lint and the tests that need no server
	$(BIN)/pytest -q -m "not integration and not interop and not e2e"

test: tools lint ## everything, with real servers and stock restic
	$(BIN)/pytest -q

clean: ## remove what the targets made; .venv stays
	rm -rf .demo .up build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
