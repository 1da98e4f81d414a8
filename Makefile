# Everything a newcomer and CI do, by the same names. Each verb sets up what it needs.
PYTHON ?= python3.11
BIN := .venv/bin
CONF ?= conf/support_tickets.yaml

.PHONY: help install retrain demo up test test-all lint ui schedule clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: .venv/.installed  ## the pinned environment in .venv

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@echo 'installing the pinned environment, 3.8 GB: minutes, and silent'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,servers]'
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

ui: install  ## MLflow's page on the right store
	$(BIN)/nocturne ui

schedule: install  ## serve the nightly schedule of CONF
	$(BIN)/nocturne schedule $(CONF)

clean:  ## remove the environment and everything the nights wrote
	rm -rf .venv .nocturne
