# Everything a person needs: `make demo`, `make test`. Both set themselves up on a fresh Debian 12
# (as root, for the apt packages and the network namespaces); a second run starts at once.
SHELL := /bin/bash
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
APT := python3 python3-venv nginx-light libnginx-mod-http-js nftables iproute2 openssl procps systemd ipset iptables ufw curl systemd-journal-remote logrotate
# What only some need: the tests of the other gateways' files, and `make demo GATEWAY=haproxy|caddy`.
GATEWAYS_APT := haproxy caddy
# The report of a replay is opened by a real browser in the tests.
BROWSER_APT := chromium
GATEWAY ?= nginx
# Tests mostly wait for others: one worker more than there are cores keeps these busy.
WORKERS ?= $(shell expr $$(nproc) + 1)

.PHONY: setup gateways browser lint types arch unit everything unit-unprivileged test demo bench fuzz clean

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

# All of them, several at a time: each makes its own namespaces, ports and directories.
everything: setup
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

# The kernel's tests as an ordinary user; `unit` has them too (tests/netns/test_unprivileged.py).
unit-unprivileged: setup
	./.ci/unprivileged $(BIN)/python -m pytest -p no:cacheprovider \
	  $(or $(ARGS),tests/netns/test_nft_ruleset.py tests/netns/test_heal.py)

test: gateways browser lint types arch everything
	$(BIN)/excise check

gateways: setup
	@./.ci/apt $(GATEWAYS_APT)

browser: setup
	@./.ci/apt $(BROWSER_APT)

demo: setup
	@./.ci/apt $(filter $(GATEWAY),$(GATEWAYS_APT))
	$(BIN)/python -m demo --gateway $(GATEWAY) $(if $(KEEP),--keep)

bench: setup
	$(BIN)/python -m tests.bench $(ARGS)

# Mutated log lines for 60 s, or for so many: make fuzz FOR=600
fuzz: setup
	$(BIN)/python -m tests.fuzz $(or $(FOR),60) $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
