# voice-gateway: `make run` sets everything up and starts it, `make test` sets up and tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# No build isolation: the build tools are pinned in requirements/build.txt like everything else.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-build-isolation

.PHONY: help run setup setup-dev test test-sdk lint types sim lock clean

help:
	@echo "make run    set up and start the gateway with its embedded voice and the demo page"
	@echo "make test   set up and run the tests"
	@echo "make setup  create .venv with the command voice-gateway in it"
	@echo "make test-sdk  run other services' client packages against a gateway"
	@echo "make lint | types | sim    the other checks of .ci/run"
	@echo "make lock   resolve the dependencies anew"

run: setup
	$(BIN)/voice-gateway serve

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml requirements/build.txt requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(PIP) -r requirements/build.txt
	@$(PIP) -r requirements/run.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt
	@$(PIP) -r requirements/dev.txt
	@touch $@

test: setup-dev
	@scripts/install-browser.sh $(BIN)
	$(BIN)/python -m pytest --cov=gateway --cov-report=term:skip-covered

# In an environment of its own: those packages bring many others along.
SDK := .venv-sdk
$(SDK)/.installed: pyproject.toml requirements/build.txt requirements/sdk.txt
	@test -x $(SDK)/bin/python || $(PYTHON) -m venv $(SDK)
	@echo "installing into $(SDK) ..."
	@$(SDK)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/build.txt
	@$(SDK)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-build-isolation -r requirements/sdk.txt
	@$(SDK)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

test-sdk: $(SDK)/.installed
	@# Some of the packages leave sockets to the garbage collector.
	SDK_PACKAGES=required $(SDK)/bin/python -m pytest tests/sdk -p no:unraisableexception

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev
	$(BIN)/mypy

sim: setup-dev
	$(BIN)/python -m tests.sim --seeds 20 --jobs 2

# Needs uv (`pip install uv`).  The files name no registry, so that a mirror serves as well.
LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate
lock:
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) --extra espeak --group dev pyproject.toml -c requirements/build.txt -o requirements/dev.txt
	$(LOCK) --extra espeak pyproject.toml -c requirements/dev.txt -o requirements/run.txt
	$(LOCK) --extra espeak --group dev --group sdk pyproject.toml -c requirements/dev.txt -o requirements/sdk.txt

clean:
	rm -rf $(VENV) $(SDK) artifacts .coverage* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis
