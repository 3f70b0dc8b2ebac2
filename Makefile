# Everything a person needs: `make demo`, `make test`. Both set themselves up on a fresh Debian 12
# (as root, for the apt packages and the network namespaces); a second run starts at once.
SHELL := /bin/bash
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
APT := python3 python3-venv nginx-light libnginx-mod-http-js nftables iproute2 openssl procps systemd

.PHONY: setup lint types arch unit test demo bench fuzz clean

setup: $(VENV)/.ready

# One recipe for both: apt first, since the virtual environment needs python3-venv.
$(VENV)/.ready: pyproject.toml constraints.txt Makefile
	@./.ci/apt $(APT)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

arch: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest $(ARGS)

test: lint types arch unit
	$(BIN)/excise check

demo: setup
	$(BIN)/python -m demo $(if $(KEEP),--keep)

bench: setup
	$(BIN)/python -m tests.bench $(ARGS)

# Mutated log lines for 60 s, or for so many: make fuzz FOR=600
fuzz: setup
	$(BIN)/python -m tests.fuzz $(or $(FOR),60) $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
