# make help says what there is. PYTHON=python3.12 chooses the interpreter; the environment is in VENV.
PYTHON ?= python3
VENV ?= .venv

# The interpreter is part of the stamps' names: another PYTHON makes the environment anew.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
MADE := $(VENV)/.made-$(VERSION)
RUN := $(VENV)/.run-$(VERSION)
DEV := $(VENV)/.dev-$(VERSION)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# insightface brings opencv-python, which needs libGL; the OpenCV that does not is installed over it.
HEADLESS = $(PIP) install --force-reinstall --no-deps "$$(grep -o '^opencv-python-headless==[0-9.]*' requirements.txt)"

.DEFAULT_GOAL := help
.PHONY: help demo test lint format wheel bench clean

help:  ## show this
	@echo "make TARGET [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' Makefile

demo: $(RUN)  ## index the sample video and cut the clips of one of its people
	$(BIN)/python cli.py index samples/sample.mp4
	$(BIN)/python cli.py query samples/people/obama/obama2.jpg --name demo --overwrite
	@echo "The clips are in outputs/demo/. Try another photo of samples/people/ or a video of your own:"
	@echo "  $(BIN)/python cli.py --help"

test: lint  ## lint, check types, run the tests; those in a browser need Chromium
	@$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

lint: $(DEV)  ## ruff, hadolint and, from Python 3.11 on, mypy; without the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
ifeq ($(VERSION),3.10)
	@echo "mypy: left out; the last NumPy for Python 3.10 does not say the types of its arrays well enough"
else
	@mkdir -p .typing && ln -sfn .. .typing/facereel
	$(BIN)/python -m mypy
	cd samples && MYPYPATH=../.typing ../$(BIN)/python -m mypy --config-file ../pyproject.toml make_sample.py
endif

format: $(DEV)  ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(MADE)  ## build the wheel into dist/
	$(PIP) wheel --no-deps --wheel-dir dist .
	rm -rf build facereel.egg-info
	@ls dist/*.whl

bench: $(DEV)  ## measure accuracy and speed; FACEREEL_MEDIA names a folder with footage of known people
	$(BIN)/python -m tests.benchmarks

clean:  ## remove the environment, the caches and what the demo wrote
	rm -rf $(VENV) .typing build dist facereel.egg-info .mypy_cache samples/.mypy_cache .pytest_cache .ruff_cache .hypothesis outputs/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 13) else "FaceReel needs Python 3.10 to 3.13, this is %d.%d; name another: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(RUN): requirements.txt pyproject.toml $(MADE)
	@echo "Installing packages into $(VENV), once; this takes a minute or two"
	$(PIP) install -r requirements.txt
	$(HEADLESS)
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	$(PIP) install -r requirements-dev.txt
	$(HEADLESS)
	@touch $@
