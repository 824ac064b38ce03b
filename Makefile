# make book, make test: each makes the environment first. make env, make lint, make bench, make results PROFILE=cpu (MINUTES=8), make clean.
SHELL := /bin/sh
.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.DEFAULT_GOAL := book

PYTHON ?= python3
PROFILE ?= cpu
BENCHMARKS ?= benchmarks
CORES ?= $(shell .venv/bin/python -c "import os; print(len(os.sched_getaffinity(0)))" 2>/dev/null || getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
PAGE := _build/html/index.html

# Compiled modules are worth having: PyPOTS imports in 5 s with them and in 13 s without, once a job. Python compiles what is imported, as it
# is imported; compiling all of the environment at once (uv sync --compile-bytecode) costs 40 s.
unexport PYTHONDONTWRITEBYTECODE
# Jobs run beside each other, so each keeps to itself; a notebook's own `threads` decides what PyTorch uses.
export OMP_NUM_THREADS ?= 1
export MPLBACKEND := agg

.PHONY: book grid results test bench env lint clean

# --- the environment ---------------------------------------------------------------------------------------------------------------

env: .venv/.made

# uv from the path, else its wheel in .uv/ (pip's --target also works where pip must not touch the system's packages).
.venv/.made: pyproject.toml uv.lock
	@uv=uv; if ! uv --version >/dev/null 2>&1; then \
	  uv=.uv/bin/uv; \
	  $$uv --version >/dev/null 2>&1 || $(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .uv --upgrade uv; \
	fi; \
	echo "env: the packages of uv.lock (some 3 GB to download the first time)"; \
	$$uv sync --frozen --all-extras --quiet
	@touch $@

# --- the book ----------------------------------------------------------------------------------------------------------------------

book: grid
	@$(MAKE) --no-print-directory -s $(PAGE)
	@echo "$(CURDIR)/$(PAGE)"

grid: .venv/.made
	@$(BIN)/snakemake --configfile profiles/quick.yaml --cores $(CORES)

# Everything a page is made from. `grid` is not among them: it runs first, and leaves its files alone when there is nothing to do.
SOURCES := _config.yml _toc.yml $(shell find book examples notebooks modts results work/quick -type f \
  ! -path '*/_generated/*' ! -path '*/__pycache__/*' ! -path '*/.ipynb_checkpoints/*' ! -path '*/logs/*' 2>/dev/null)

$(PAGE): $(SOURCES) .venv/.made
	@echo "book: pages from results"
	@rm -f $@
	@$(BIN)/python -m modts.book.pages
	@$(BIN)/jupyter-book build -W -n --keep-going -q . || { rm -rf _build; exit 1; }
	@test -f $@ && touch $@

# A profile's grid on real data (MODTS_DATA), joined into results/. It goes on where it was stopped. MINUTES=8 starts what fits into so
# many minutes by measured times, stops by then, says what is left, and joins once nothing is.
results: .venv/.made
ifdef MINUTES
	@$(BIN)/modts grid $(PROFILE) --minutes $(MINUTES) --cores $(CORES)
else
	@$(BIN)/snakemake --configfile profiles/$(PROFILE).yaml --cores $(CORES) --keep-going
	@$(BIN)/modts publish $(PROFILE)
endif

# --- checks ------------------------------------------------------------------------------------------------------------------------

test: .venv/.made
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Ours against the alternatives, side by side: 14 minutes on 2 cores with nothing else running. Rewrites results/benchmarks.csv and roofline.csv.
bench: .venv/.made
	@unset OMP_NUM_THREADS; memory=$$($(BIN)/python -c "from modts.study import MEMORY; print(*map('='.join, MEMORY.items()))"); \
	  env $$memory $(BIN)/python -m pytest -c benchmarks/pytest.ini --rootdir benchmarks $(BENCHMARKS)

lint: .venv/.made
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

# What can be made again: the book and the quick grid's files. The environment and other profiles' runs stay.
clean:
	rm -rf _build book/_generated work/quick .pytest_cache .snakemake .ruff_cache
