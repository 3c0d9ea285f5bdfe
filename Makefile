# `make demo` and `make test` set up everything they need in .venv; nothing else has to be installed first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One lock file for everything. It is used as constraints, so that each target installs only its own part.
# torch goes first and pinned: asked for by another package, pip would take whatever build is newest.
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock
LOG := $(VENV)/install.log
# Tests run in so many processes, one thread of the model each; a file of tests stays in one process.
WORKERS ?= 2
EXTRAS := embedded alfworld webshop webshop-nouns gymnasium openenv scienceworld textworld memory docker train \
  parquet postgres bench dev

.DEFAULT_GOAL := help
.PHONY: help demo check test test-all wheel-test bench lock clean

help:  ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Lamarck needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml requirements.lock
	@echo "installing into $(VENV) (log: $(LOG))"
	@{ $(INSTALL) torch && $(INSTALL) -e '.[evolve]'; } >$(LOG) 2>&1 || { tail -20 $(LOG); exit 1; }
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	@echo "installing the test tools and the stock ALFWorld engine (a C++ build of two minutes)"
	@PATH="$(abspath $(BIN)):$$PATH" $(INSTALL) -e '.[dev,embedded,alfworld,webshop,webshop-nouns,gymnasium,openenv,scienceworld,memory,docker,train,parquet,postgres]' >$(LOG) 2>&1 || \
	  { tail -20 $(LOG); exit 1; }
	@touch $@

$(VENV)/.openenv: $(BIN)/python .ci/openenv
	@echo "installing OpenEnv into an environment of its own: it needs an older mcp"
	@.ci/openenv $(BIN)/python $(VENV)/openenv >$(LOG) 2>&1 || { tail -20 $(LOG); exit 1; }
	@touch $@

demo: $(VENV)/.demo  ## Let the embedded model evolve on household games (13 minutes where it was timed)
	$(BIN)/lamarck demo

check: $(VENV)/.test  ## Format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=.dev $(BIN)/lint-imports --no-cache

test: $(VENV)/.test $(VENV)/.openenv wheel-test  ## All tests but the long forms, and once against the built wheel
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not full" --durations=25 -n $(WORKERS) --dist loadfile

test-all: $(VENV)/.test $(VENV)/.openenv wheel-test  ## The long forms too (all 140 valid_seen games against the stock engine)
	$(BIN)/pytest

wheel-test: $(VENV)/.test  ## A fast part of the tests against the built wheel, where `tools` is the user's package
	bash tests/wheel.sh $(BIN)/python

bench: $(VENV)/.test  ## Benchmarks, each side by side in one run
	$(BIN)/lamarck bench engine
	$(BIN)/lamarck bench agent
	$(BIN)/lamarck bench model
	$(BIN)/lamarck bench memory
	$(INSTALL) -e '.[bench]' >$(LOG) 2>&1 && $(BIN)/lamarck bench sandbox
	$(BIN)/lamarck bench webshop
	$(BIN)/lamarck bench worlds
	$(BIN)/lamarck bench train

lock: $(BIN)/python  ## Resolve the lock file anew
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile pyproject.toml --python-version 3.11 $(addprefix --extra ,$(EXTRAS)) \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade -o requirements.lock
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock

clean:  ## Remove what was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
