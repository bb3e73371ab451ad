# Each target stands alone: it makes .venv when missing, installs what it needs, and does nothing twice.
# Needs python3 (3.10 or later; constraints.txt is for 3.11), its venv module, and git.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install -q -c constraints.txt
PINS := pyproject.toml constraints.txt

.PHONY: demo test lint bench docs screenshots clean

demo: .venv/.report
	rm -rf demo-output
	$(BIN)/vqbegal demo demo-output

test: .venv/.dev
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate_settings.py --check

bench: .venv/.bench
	@set -e; for script in Testing/benchmarks/bench_*.py; do \
		test -e "$$script" || { echo "There is no benchmark in Testing/benchmarks."; exit 1; }; \
		echo "== $$script"; $(BIN)/python "$$script"; \
	done

docs: .venv/.report
	$(BIN)/python docs/generate_settings.py

screenshots: .venv/.dev
	$(BIN)/python docs/generate_pictures.py

clean:
	rm -rf .venv build dist *.egg-info demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first and alone, so that the build that its pin finds is the one that everything else is resolved against.
.venv/.torch: $(PINS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	touch $@

.venv/.report: .venv/.torch
	$(PIP) -e '.[report]'
	touch $@

.venv/.dev: .venv/.torch
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps rt-utils  # it asks for a dataclasses package that takes the place of Python's own
	touch $@

.venv/.bench: .venv/.torch
	$(PIP) -e '.[dev,bench]'
	touch $@
