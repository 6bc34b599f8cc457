# One command for each thing one does here; `make help` lists them.
#
# Everything runs in .venv, which the first command makes: installed from the
# exact versions in requirements/, renewed when they or pyproject.toml change.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python on the path that is new enough and can make an environment.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

# The real data sets, where they lie beside the checkout and nobody says otherwise.
ifeq ($(origin VETRINA_DATA),undefined)
ifneq ($(wildcard ../shared/data/README.md),)
export VETRINA_DATA := $(abspath ../shared/data)
endif
endif

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := env -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_FIND_LINKS \
	$(BIN)/uv pip compile --quiet --no-config --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --custom-compile-command "make lock" $(UPGRADE)

.PHONY: help
help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# --- the environment --------------------------------------------------------

$(BIN)/python:
	@$(or $(PYTHON),false) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Vetrina needs Python 3.11 or later with venv (on Debian: apt-get install python3 python3-venv)."; \
	echo "Tried: $(or $(PYTHON),python3.11 to python3.14 and python3). Name another: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: requirements/locked.txt pyproject.toml | $(BIN)/python
	$(INSTALL) -r requirements/locked.txt
	$(INSTALL) --no-deps --editable .
	@touch $@

# torch first and by itself: what pip is told to find decides whether it is a build for CPUs or one for CUDA.
$(VENV)/dev.stamp: requirements/dev.txt requirements/torch.txt pyproject.toml | $(BIN)/python
	$(INSTALL) -r requirements/torch.txt
	$(INSTALL) -r requirements/dev.txt
	$(INSTALL) --no-deps --editable .
	@touch $@ $(VENV)/runtime.stamp

# The rivals that benchmarks/ compares with; hnswlib is compiled on installing.
$(VENV)/bench.stamp: requirements/bench.txt $(VENV)/dev.stamp
	$(INSTALL) -r requirements/bench.txt
	@touch $@

.PHONY: install dev
install: $(VENV)/runtime.stamp ## Make .venv with what `vetrina` needs to run
dev: $(VENV)/dev.stamp ## Make .venv with what the checks need too

# --- what a newcomer types --------------------------------------------------

.PHONY: demo
demo: $(VENV)/runtime.stamp ## A real shop, ranked, measured and served (SERVE=0: not served)
	$(BIN)/vetrina demo $(if $(filter 0,$(SERVE)),--no-serve)

# --- checks -----------------------------------------------------------------

.PHONY: test lint types contracts docs format
# Whole files go to workers, in their order: what is made for one file is made once, and the long ones come early.
WORKERS := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# Checks go two at a time, the lines of each kept together where make can (4.0 and later). pytest comes last,
# so that the last line printed is its summary.
test: $(VENV)/dev.stamp ## Every check, then the tests (PYTEST_ARGS="-k words" for some)
	@$(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) types lint contracts docs
	$(BIN)/pytest $(WORKERS) $(PYTEST_ARGS)

lint: $(VENV)/dev.stamp ## Style and likely bugs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## mypy --strict
	$(BIN)/mypy

contracts: $(VENV)/dev.stamp ## Who may import whom
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp ## Build the documentation into build/docs, warnings being errors
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs build/docs

format: $(VENV)/dev.stamp ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- measurements -----------------------------------------------------------

.PHONY: bench quality floors studies
bench: $(VENV)/bench.stamp ## Speed and memory, one script each in benchmarks/ (needs VETRINA_DATA)
	set -e; for script in benchmarks/*.py; do $(BIN)/python $$script; done

# The peers have environments of their own in build/peers, made on the first run.
BRIEFLY := $(if $(filter-out 0,$(QUICK)),--quick)
MEASURE := PYTHONPATH=benchmarks $(BIN)/python -m
quality: $(VENV)/dev.stamp ## Quality on real data: all tables, the peers in the same run (QUICK=1: briefly, nothing tuned)
	$(MEASURE) peers $(BRIEFLY) $(PEERS_ARGS)
	$(MEASURE) behaviour $(BRIEFLY) $(or $(BEHAVIOUR_ARGS),--only sequence personal oracle position cold)

floors: $(VENV)/dev.stamp ## What quality must not fall below on real data: tests too long for `make test`
	$(BIN)/pytest -m quality $(PYTEST_ARGS)

studies: $(VENV)/dev.stamp ## What each modality, source, ranker and family of features is worth (QUICK=1: briefly)
	$(MEASURE) modalities $(BRIEFLY) $(MODALITIES_ARGS)
	$(MEASURE) behaviour $(BRIEFLY) $(or $(BEHAVIOUR_ARGS),--only sources rankers features gate)

# --- upkeep -----------------------------------------------------------------

.PHONY: lock clean
lock: | $(BIN)/python ## Write requirements/ anew from pyproject.toml (UPGRADE=--upgrade: newest releases)
	$(INSTALL) "$$(grep -oE '"uv>[^"]*"' pyproject.toml | tr -d '"')"
	$(COMPILE) pyproject.toml --output-file requirements/locked.txt
	$(COMPILE) pyproject.toml --extra dev --constraints requirements/locked.txt --override requirements/not-torch.txt --no-emit-package torch \
		--output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra bench --constraints requirements/dev.txt --output-file requirements/bench.txt

clean: ## Remove .venv and everything that was built
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache docs/reference/generated
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
