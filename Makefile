# make install, make demo, make test, make test-all, make check; PYTHON names the interpreter to build the environment with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc 2>/dev/null || echo 2)
INSTALLED := $(VENV)/.installed

.PHONY: install demo test test-all check format schema lock clean

install: $(INSTALLED)

$(INSTALLED): envs/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hipoa needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement envs/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: install
	$(BIN)/snakemake --cores $(CORES) --rerun-incomplete

# What a developer runs while working; test-all adds the long ones: Slurm, the loop of reading, kills, trainings.
test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

# What follows from the settings' declarations.
schema: install
	$(BIN)/python -m hipoa schema --out workflow/schemas/config.schema.json --published workflow/presets/published.yaml

# The lock is what pip resolves for pyproject.toml on Linux; CUDA's parts are for Linux alone.
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --editable '.[demo,dev]'
	$(VENV)-lock/bin/python -m pip freeze --all --exclude-editable \
	  | sed -E '/^pip==/d; /^(nvidia-|cuda-|triton)/ s/$$/ ; sys_platform == "linux" and platform_machine == "x86_64"/' > envs/lock.txt
	rm -r $(VENV)-lock

clean:
	rm -rf $(VENV) results cache .snakemake
