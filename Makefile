# Everything a newcomer and CI do, by the same names. Each verb sets up what it needs.
PYTHON ?= python3.11
BIN := .venv/bin
CONF ?= conf/support_tickets.yaml
SOURCES := benchmarks expectations flows infra model_registry serving supply_chain tasks
LOCKED := pip install --quiet --only-binary :all: --no-deps --require-hashes --requirement
LOCK := .venv-audit/bin/uv pip compile --quiet --python-version 3.11 --python-platform linux \
	--constraint constraints.txt --only-binary :all: --generate-hashes --no-annotate \
	--no-emit-package pip --custom-compile-command 'make lock'

.PHONY: help install retrain demo up test test-all lint baseline lock audit sbom image-check smoke-newest ui schedule clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: .venv/.installed  ## the locked environment in .venv, each file checked by its hash

# Wheels only: building a package would fetch what no hash is known of.
.venv/.installed: pyproject.toml supply_chain/install.lock
	$(PYTHON) -m venv .venv
	@echo 'installing the locked environment, 4.1 GB: minutes, and silent'
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

lint: install  ## style, types, the import contracts, risky calls, secrets in files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(SOURCES)
	$(BIN)/detect-secrets-hook --no-verify --baseline .secrets.baseline $$(git ls-files)

baseline: install  ## .secrets.baseline again: what looks like a secret in the tree and is none
	$(BIN)/detect-secrets scan --slim --no-verify --exclude-files '\.lock$$|^\.secrets\.' > .secrets.new
	mv .secrets.new .secrets.baseline

lock: .venv-audit/.installed  ## the locks again, after a pin in constraints.txt was changed
	$(LOCK) --extra dev --extra servers --output-file supply_chain/install.lock pyproject.toml
	$(LOCK) --extra servers --extra workers --output-file supply_chain/image.lock pyproject.toml
	$(LOCK) --group audit --output-file supply_chain/audit.lock

audit: .venv-audit/.installed  ## known weaknesses of what is locked (exit 4 of the module: could not be asked)
	.venv-audit/bin/python -m supply_chain.audit $(ARGS)

sbom: .venv-audit/.installed  ## sbom.json: what the image installs, as CycloneDX
	.venv-audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --short-PURLs \
		--output-reproducible --output-file sbom.json supply_chain/image.lock

image-check:  ## the image, built by buildah without a daemon, and looked into: 10 GB, as root
	supply_chain/image_check.sh

smoke-newest: .venv-audit/.installed  ## imports and a night on the newest releases, in .venv-newest (3 GB)
	.venv-audit/bin/uv venv --quiet --clear --python $(PYTHON) .venv-newest
	.venv-audit/bin/uv pip install --quiet --python .venv-newest --editable '.[servers]'
	.venv-newest/bin/python -m supply_chain.smoke

ui: install  ## MLflow's page on the right store
	$(BIN)/nocturne ui

schedule: install  ## serve the nightly schedule of CONF
	$(BIN)/nocturne schedule $(CONF)

clean:  ## remove the environments and everything the nights wrote
	rm -rf .venv .venv-audit .venv-newest .nocturne sbom.json
