# What a developer calls. `make help` lists it; every target sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
LOCK := requirements/constraints.txt

# Debian package : the program or file that shows it is there : what needs it.
DEBIAN_PACKAGES := \
  iproute2:/usr/bin/ss:ss-and-ip-namespaces-of-tests-and-demo \
  procps:/usr/bin/ps:process-listings-of-the-tests \
  gcc:/usr/bin/gcc:the-C-reference-of-make-bench \
  libc6-dev:/usr/include/stdio.h:the-C-reference-of-make-bench \
  systemd:/usr/lib/systemd/systemd:real-units-in-the-test-box \
  dbus:/usr/bin/dbus-daemon:the-bus-of-the-test-box \
  systemd-container:/usr/bin/systemd-nspawn:the-test-box-itself \
  nodejs:node:a-patient-that-is-not-Python

.PHONY: help setup packages lock demo lint test bench soak simulate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: packages $(STAMP) ## make .venv with everything, and .venv/bin/lastack

packages: ## install missing Debian packages (as root), or name them
	@.ci/packages $(DEBIAN_PACKAGES)

$(STAMP): pyproject.toml $(LOCK)
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) was not found; install python3.11 or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "setup: $(PYTHON) is not Python 3.11, for which $(LOCK) was made; say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "setup: $(PYTHON) cannot make a virtual environment (no ensurepip); install python3.11-venv: apt-get install python3.11-venv" >&2; exit 1; }
	@echo "setup: installing the locked packages into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "setup: done, the program is $(BIN)/lastack"

lock: ## renew the hashed constraints (needs a package index)
	@mkdir -p build
	@PYTHON=$(PYTHON) .ci/lock
