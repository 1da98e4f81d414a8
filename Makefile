# Everything a newcomer and CI do, by the same names. Each verb sets up what it needs.
PYTHON ?= python3.11
BIN := .venv/bin
CONF ?= conf/support_tickets.yaml
LOCKED := pip install --quiet --only-binary :all: --no-deps --require-hashes --requirement
LOCK := .venv-audit/bin/uv pip compile --quiet --python-version 3.11 --python-platform linux \
	--constraint constraints.txt --only-binary :all: --generate-hashes --no-annotate \
	--no-emit-package pip --custom-compile-command 'make lock'

.PHONY: help install retrain demo up test test-all lint ui schedule clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: .venv/.installed  ## the locked environment in .venv, each file checked by its hash

# Wheels only: building a package would fetch what no hash is known of.
.venv/.installed: pyproject.toml supply_chain/install.lock
	$(PYTHON) -m venv .venv
	@echo 'installing the locked environment, 3.8 GB: minutes, and silent'
	$(BIN)/python -m $(LOCKED) supply_chain/install.lock
	$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

.venv-audit/.installed: supply_chain/audit.lock
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m $(LOCKED) supply_chain/audit.lock
	@touch $@

retrain: install  ## one whole night on the embedded data, no server to start (exit 3: champion kept)
	@$(BIN)/nocturne retrain $(CONF) $(ARGS) || test $$? -eq 3

demo: install  ## the whole story on generated data: served, drifted, retrained, swapped live; ends with a page
	@$(BIN)/nocturne demo $(ARGS)

up: install  ## the whole platform on this machine: servers, schedules, scoring, a page of links; Ctrl-C ends it
	@$(BIN)/nocturne up $(ARGS)

test: install  ## the tests that every change runs, about 13 minutes on two cores
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

test-all: install  ## also the long sweeps and soaks
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m ''

lint: install  ## style, types and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: .venv-audit/.installed  ## the locks again, after a pin in constraints.txt was changed
	$(LOCK) --extra dev --extra servers --output-file supply_chain/install.lock pyproject.toml
	$(LOCK) --extra servers --output-file supply_chain/image.lock pyproject.toml
	$(LOCK) --group audit --output-file supply_chain/audit.lock

ui: install  ## MLflow's page on the right store
	$(BIN)/nocturne ui

schedule: install  ## serve the nightly schedule of CONF
	$(BIN)/nocturne schedule $(CONF)

clean:  ## remove the environment and everything the nights wrote
	rm -rf .venv .nocturne
