# `make demo` and `make test` do all of their own set-up: Python 3.11+, git and make are enough.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
export DBT_SEND_ANONYMOUS_USAGE_STATS ?= false

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

.venv/demo: pyproject.toml src/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	@$(PYTHON) -m venv .venv
	@echo "sets up .venv, this once: about a hundred packages, a minute or two"
	@$(INSTALL) --editable ./src --editable . | $(PYTHON) fleet/progress.py
	@touch $@

.venv/dev: .venv/demo
	@echo "adds what tests need, this once"
	@$(INSTALL) --editable ./src --editable '.[dev]' | $(PYTHON) fleet/progress.py
	@touch $@

# dbt Core 1.10 and 1.12 and dbt v2, each in an environment of its own: the tests run members on them
.venv/engines/all: .venv/dev tests/engines.py fleet/dbt_v2.py
	@$(BIN)/python -m tests.engines
	@mkdir -p $(@D) && touch $@

# Microsoft's emulator of Azure Storage, for the tests of a registry there
.venv/azurite/made: .venv/dev tests/azurite.py
	@$(BIN)/python -m tests.azurite
	@mkdir -p $(@D) && touch $@

TARGET ?= local
ENGINE ?= core
SNOWFLAKE := --target snowflake $(if $(CONNECTION),--connection '$(CONNECTION)') $(if $(YES),--yes)

demo: .venv/demo ## three members of a mesh, built and published here; ENGINE=v2; TARGET=snowflake CONNECTION=…
	@$(BIN)/python -m fleet demo --engine $(ENGINE) $(if $(filter snowflake,$(TARGET)),$(SNOWFLAKE))

demo-clean: .venv/demo ## remove what `make demo` made
	@$(BIN)/python -m fleet demo --clean --engine $(ENGINE)

demo-destroy: .venv/demo ## drop what the demo created on Snowflake; CONNECTION=…
	@$(BIN)/python -m fleet demo --clean $(SNOWFLAKE)

test: .venv/dev .venv/engines/all .venv/azurite/made ## everything that a machine without accounts can prove
	$(BIN)/python -m pytest -n auto

lint: .venv/dev ## format, lint and types, in the template as well
	$(BIN)/python -m tests.lint

format: .venv/dev ## rewrite files as `make lint` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

conformance: .venv/dev ## do Snowflake (CONNECTION=…) and GitHub (REPOSITORY=…) answer as the stand-ins? DRY_RUN=1
	@$(BIN)/python -m tests.conformance $(if $(CONNECTION),--connection '$(CONNECTION)') \
		$(if $(REPOSITORY),--repository '$(REPOSITORY)') $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes)

bench: .venv/dev ## the budgets, as ratios measured in one run
	$(BIN)/python -m tests.bench

VERSION = v$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

keep-version: .venv/dev ## keep HEAD as the released version in pyproject.toml, for the tests of updates
	$(BIN)/python -m tests.versions keep $(VERSION)

release-check: .venv/dev ## may HEAD be tagged? Version, changelog, kept version, tests of updates
	$(BIN)/python -m tests.versions check $(VERSION)
	$(BIN)/python -m pytest -n auto tests/test_updates.py tests/test_fleet_update.py

constraints: .venv/dev ## pin what is installed now, for the members as well
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools > constraints.txt
	$(BIN)/python -m tests.constraints

clean: ## remove the environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache *.egg-info

.PHONY: help demo demo-clean demo-destroy test lint format conformance bench keep-version release-check constraints clean
