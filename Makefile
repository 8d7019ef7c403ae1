# Every target sets itself up; the second time that is a no-op.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
TIER   ?= local
ARGS   ?=

# Containers: docker with its compose, else podman with podman-compose.
ENGINE  ?= $(shell command -v docker >/dev/null && docker info >/dev/null 2>&1 && echo docker || command -v podman)
COMPOSE ?= $(shell if [ "$(ENGINE)" = docker ] && docker compose version >/dev/null 2>&1; then echo docker compose; else command -v podman-compose; fi)
BUILD   ?= $(if $(findstring podman,$(ENGINE)),--format docker)

.PHONY: help emulate test style types bench demo containers dist setup clean

help:      ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

emulate: $(VENV)/.run   ## start the venue: make emulate TIER=tokyo ARGS="--seed 7"
	@exec $(BIN)/kraken-emulator up --tier $(TIER) $(ARGS)

test: setup   ## run every test: make test ARGS="-k book"
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

style: setup   ## lint, format check, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup   ## mypy --strict
	$(BIN)/mypy

bench: setup   ## order→ack beside the bare stack, as ratios
	$(BIN)/python -m tests.benchmarks $(ARGS)

demo:      ## ccxt, python-kraken-sdk and QuickFIX in containers at three tiers; Ctrl-C ends it
	@[ -n "$(COMPOSE)" ] || { echo "make demo needs docker compose or podman-compose (make emulate needs neither)"; exit 1; }
	@trap : INT; $(DEMO) up --build; $(DEMO) down --volumes

# A project of its own: what it removes at the end is nobody else's.
DEMO = $(COMPOSE) -p kraken-demo -f docker/compose.yaml --profile demo

containers: setup   ## build docker/ and test it for real: make containers ENGINE=podman
	@[ -n "$(ENGINE)" ] && [ -n "$(COMPOSE)" ] \
	  || { echo "make containers needs docker with its compose, or podman with podman-compose"; exit 1; }
	ENGINE="$(ENGINE)" COMPOSE="$(COMPOSE)" BUILD="$(BUILD)" $(BIN)/python -m pytest -q $(ARGS) tests/containers

dist: setup   ## the wheel and the source archive, into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

setup: $(VENV)/.dev   ## the virtual environment, with what the tests need

clean:     ## remove what was set up
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "kraken-emulator needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# What the command needs: wheels only, so no compiler is ever asked for.
$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) (once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --prefer-binary -e .
	@touch $@

# What the tests need besides: the dev group of pyproject.toml.
$(VENV)/.dev: $(VENV)/.run
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml","rb"))["dependency-groups"]["dev"], sep="\n")' > $(VENV)/dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --prefer-binary -r $(VENV)/dev.txt
	@touch $@
