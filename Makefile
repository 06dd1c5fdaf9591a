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
  libdw1:/usr/lib/x86_64-linux-gnu/libdw.so.1:native-stacks-of-programs-that-cannot-be-asked \
  uwsgi-core:/usr/bin/uwsgi-core:a-prefork-server-with-Python-inside-to-dump \
  uwsgi-plugin-python3:/usr/lib/uwsgi/plugins/python311_plugin.so:its-Python \
  systemd:/usr/lib/systemd/systemd:real-units-in-the-test-box \
  dbus:/usr/bin/dbus-daemon:the-bus-of-the-test-box \
  systemd-container:/usr/bin/systemd-nspawn:the-test-box-itself \
  nodejs:node:a-patient-that-is-not-Python \
  nginx-light:/usr/sbin/nginx:a-proxy-of-the-corpus \
  openssl:/usr/bin/openssl:certificates-for-servers-of-the-corpus \
  openjdk-17-jdk-headless:javac:Java-virtual-machines-to-dump,-Tomcat-of-the-corpus \
  libtomcat9-java:/usr/share/java/tomcat9-catalina.jar:Tomcat-of-the-corpus \
  libresteasy3.0-java:/usr/share/java/resteasy-jaxrs.jar:RESTEasy-on-that-Tomcat \
  jattach:/usr/bin/jattach:the-reference-of-make-bench-for-thread-dumps \
  golang-go:go:Go-programs-to-dump,-Go-net/http-of-the-corpus

# What only `make test-kernels` needs.
KERNEL_PACKAGES := \
  qemu-system-x86:qemu-system-x86_64:virtual-machines \
  mmdebstrap:mmdebstrap:the-small-Debian-inside \
  cpio:cpio:its-image \
  kmod:depmod:the-modules-of-its-kernel

# `build` is a folder of results, not a target to renew.
.PHONY: help setup packages lock demo lint test test-kernels bench soak corpus simulate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: packages $(STAMP) | build ## make .venv with everything, and .venv/bin/lastack

packages: ## install missing Debian packages (as root), or name them
	@.ci/packages $(DEBIAN_PACKAGES)

$(STAMP): pyproject.toml $(LOCK)
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) was not found; install python3.11 or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "setup: $(PYTHON) is not Python 3.11, for which $(LOCK) was made; say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "setup: $(PYTHON) cannot make a virtual environment (no ensurepip); install python3.11-venv: apt-get install python3.11-venv" >&2; exit 1; }
	@echo "setup: installing the locked packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "setup: done, the program is $(BIN)/lastack"

build:
	@mkdir -p build

lock: | build ## renew the hashed constraints (needs a package index)
	@PYTHON=$(PYTHON) .ci/lock

demo: setup ## a service falls sick on this machine, is healed and written up
	@$(BIN)/lastack demo

lint: setup ## ruff, mypy, imports, dependencies, dead code
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .cache/imports > build/imports.txt || { cat build/imports.txt; exit 1; }
	$(BIN)/deptry operator
	$(BIN)/vulture

# Two workers: real servers and network namespaces want the processor too. What must not run beside
# each other shares a name in @pytest.mark.xdist_group.
test: lint ## lint, then every test, with the coverage of what decides
	$(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term $(TESTS)

test-kernels: setup ## the sensor suite and every lab on kernels of four Debian releases, in virtual machines; as root
	@.ci/packages $(KERNEL_PACKAGES)
	$(BIN)/python -m tests.machines

bench: setup ## cost against a C reference and ss, into build/bench.json
	$(BIN)/python -m benchmarks.table --out build/bench.json

SOAK_TICKS ?= 10000
soak: setup ## memory over 10,000 ticks, 20 looks beside busy cores, 50 runs of each danger, the honest proof; as root
	$(BIN)/python -m benchmarks.soak --ticks $(SOAK_TICKS) --out build/soak.json
	$(BIN)/python -m tests.corpus.busy --out build/busy.json
	DANGER_RUNS=50 DANGER_FIGURES=build/dangers.json $(BIN)/pytest -q -m dangers tests/dangers
	$(BIN)/python -m tests.corpus --out build/corpus.json
	$(MAKE) test-kernels

corpus: setup ## every server of the honest proof in every condition, as root; renews the table of the docs
	$(BIN)/python -m tests.corpus --renew --out build/corpus.json

SEEDS ?= 1000
simulate: setup ## every property test with SEEDS=N examples (1000)
	SEEDS=$(SEEDS) $(BIN)/pytest -n 2 -m hypothesis --hypothesis-profile=simulate --timeout=0 $(TESTS)

clean: ## remove everything that make made
	rm -rf $(VENV) build dist .cache .pytest_cache .hypothesis .coverage
