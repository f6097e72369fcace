# Everything a fresh machine with Python 3.11 and make needs; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made

.DEFAULT_GOAL := help
.PHONY: help setup demo test check conformance bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything; leaves the command at .venv/bin/tieline

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $(STAMP)

demo: $(STAMP) ## the main job: deals become cash under faults, counted in the systems themselves
	$(BIN)/tieline demo

test: $(STAMP) ## the tests
	$(BIN)/python -m pytest -n 2

check: $(STAMP) ## style, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: $(STAMP) ## official vendor clients and published contracts judge the sandboxes
	$(BIN)/python tests/conformance/run.py

bench: $(STAMP) ## benchmarks; prints figures with the machine
	PYTHONPATH=. $(BIN)/python benchmarks/mapping.py
	PYTHONPATH=. $(BIN)/python benchmarks/engine.py

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-conformance .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
