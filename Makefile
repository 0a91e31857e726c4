# make demo       set up .venv and run pipelines/examples/split-digits.yaml
# make test       set up .venv and run the tests (make test ARGS="-m 'not slow'")
# make lint       ruff                       make typecheck  mypy --strict
# make format     let ruff rewrite           make bench      the benchmark
# make docs       the documentation          make lock       pin the newest versions
# make clean      remove what was made
# Another interpreter: make PYTHON=python3.12 demo

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Pinned by hand: resolving these to the newest release changes what the project is tested against.
PINS := torch==2.13.0 ray==2.60.0 mlflow==3.17.2
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)
FIND_PYTHON = for python in $(CANDIDATES); do \
	  "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	  python=; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or newer, with venv, was not found (tried: $(CANDIDATES))." >&2; \
	  echo "Install one (Debian, Ubuntu: apt-get install python3-venv) or name it: make PYTHON=/path/to/python3 ..." >&2; \
	  exit 1; \
	fi

# pip would compile twenty thousand files, one after another, of which few are used: Python compiles those, and keeps them.
INSTALL := $(BIN)/python -m pip install -qq --no-compile --constraint requirements.lock --editable
export PYTHONDONTWRITEBYTECODE :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test collect lint typecheck format bench docs lock clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p; /^$$/q' Makefile

demo: $(VENV)/core.stamp
	@$(BIN)/everlearn run pipelines/examples/split-digits.yaml

# Tests that start Ray wait half of their time: three processes keep two cores busy.
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# Reads all tests, and keeps them compiled; otherwise each process of `make test` would compile all of them for itself.
collect: $(VENV)/dev.stamp
	@found=$$($(BIN)/python -m pytest --collect-only -qqq) || { echo "$$found"; exit 1; }

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/dev.stamp
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp
	$(BIN)/python -m tests.benchmarks $(ARGS)

# Broken links, missing pages and keys without a meaning are errors. The site is build/docs/index.html.
docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --config-file docs/mkdocs.yml

# The pip that Python brings may be old: one of 2023 takes twice as long as one of 2026, and does the same.
$(BIN)/python:
	@$(FIND_PYTHON); echo "Making $(VENV) with $$python ($$("$$python" -V))"; "$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install -qq 'pip>=26' 2>/dev/null || true

# The stamps make the set-up happen once, and again when the lock or the project's metadata changes.
$(VENV)/core.stamp: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Everlearn into $(VENV) (the first time takes some minutes)"
	@$(INSTALL) .
	@touch $@

$(VENV)/dev.stamp: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Everlearn and its development tools into $(VENV) (the first time takes some minutes)"
	@$(INSTALL) '.[cluster,dev]'
	@touch $@ $(VENV)/core.stamp

# A GPU build of torch brings the CUDA packages that it needs by itself, so they are not pinned here.
lock:
	@$(FIND_PYTHON); rm -rf .lock && "$$python" -m venv .lock
	.lock/bin/python -m pip install -qq $(PINS) '.[cluster,dev,server]'
	.lock/bin/python -m pip freeze --exclude everlearn \
	  | sed -E 's/^([^ ]+==[^+ ]+)\+.*$$/\1/' | grep -v -i -E '^(nvidia|cuda|triton)[-_=]|^#|^-| @ ' > requirements.lock
	rm -rf .lock

clean:
	rm -rf $(VENV) .lock build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
