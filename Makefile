# Amends: everything a newcomer types. Needs Python 3.11 or newer and make, nothing else.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PORT ?=
DATA ?=
SEED ?=
REPORT ?=
SLACK ?=
OPTIONS = $(if $(PORT),--port $(PORT)) $(if $(DATA),--data "$(DATA)")
KINDS := $(wildcard tests/unit tests/contract tests/integration tests/e2e)

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check e2e bench chaos docs requirements clean

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'
	@echo "  PORT=8080 and DATA=folder go with demo and up"

setup: $(READY) ## Build .venv, fetch Kafka's jars, prepare its fast start (demo, up and test do it where missing)
	@$(BIN)/python -m shared.embedded

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Amends needs Python 3.11 or newer; name one: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## Live a day of a twelve-store group at 60x, in the browser and in a phone
	@exec $(BIN)/amends demo $(OPTIONS)

up: $(READY) ## Run everything on this machine: services, console, PostgreSQL, Kafka
	@exec $(BIN)/amends up $(OPTIONS)

test: setup ## All tests: unit, contract, integration, e2e, and a short storm
	$(BIN)/python -m pytest $(KINDS) tests/chaos/test_short_storm.py

check: $(READY) ## Lint, format, types, import rules, house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/contract

e2e: setup ## The stories about patients alone
	$(BIN)/python -m pytest tests/e2e

bench: setup ## Measure: every figure of docs/PERFORMANCE.md, one table at the end; asserts none
	$(BIN)/python -m pytest tests/bench -m bench -s

chaos: setup ## The storm: everything is killed again and again (SEED=7, SLACK=2, REPORT=file)
	$(BIN)/python -m pytest tests/chaos/test_storm.py -s $(if $(SEED),--seed $(SEED)) $(if $(SLACK),--slack $(SLACK)) $(if $(REPORT),--report "$(REPORT)")

docs: $(READY) ## Write the generated pages of docs/ anew
	UPDATE_DOCS=1 $(BIN)/python -m pytest tests/contract -k docs

requirements: ## Pin requirements/*.txt anew with hashes (needs uv)
	cd requirements && uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet runtime.in -o runtime.txt
	cd requirements && uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet dev.in -o dev.txt

clean: ## Remove .venv and what tools leave behind; data folders and the per-user cache stay
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
