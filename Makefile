# What people do here. Each target sets up what it needs; a second call is quick.
# A fresh machine needs python3 (3.11 or newer) with venv and headers, gcc, make and git.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What decides whether the compiled modules are current; tests/test_packaging.py compares it with setup.py.
COMPILED := $(filter-out %/__init__.py,$(wildcard egressd/dataplane/*.py egressd/*/*.pxd)) \
            egressd/capture/blocks.py egressd/capture/records.py egressd/decode/dns.py \
            egressd/decode/glance.py egressd/past.py
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test lint fix accept bench

demo: $(VENV)/installed  ## what egressd says of a site where a camera calls home
	@$(BIN)/egressd replay pcaps/demo.pcapng; status=$$?; echo; \
	if [ $$status -ne 1 ]; then echo "make demo: egressd ended with $$status instead of 1"; exit 1; fi; \
	echo "egressd ended with 1, which means findings: this capture was made to have some."

test: $(VENV)/ready  ## all tests
	@$(BIN)/pytest --quiet --numprocesses auto

lint: $(VENV)/ready  ## style, types, and who may import whom
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

fix: $(VENV)/ready  ## let ruff mend what it can
	@$(BIN)/ruff check --quiet --fix; $(BIN)/ruff format

accept: $(VENV)/ready  ## write the expected outputs anew and show what changed: read it
	@$(BIN)/pytest --quiet --accept --capture=no tests/test_cases.py tests/test_docs.py

bench: $(VENV)/ready  ## the numbers we publish
	@$(BIN)/python -m bench

$(VENV)/bin/pip:
	@command -v gcc >/dev/null || { echo "egressd is compiled: install gcc and the headers of Python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "egressd needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install 'pip>=25.1'

$(VENV)/installed: pyproject.toml setup.py $(COMPILED) | $(VENV)/bin/pip
	@echo "Setting up $(VENV) and compiling: takes a minute or two, once"
	@PYTHONWARNINGS=ignore $(PIP) install --editable .
	@touch $@

$(VENV)/ready: $(VENV)/installed
	@$(PIP) install --group test --group lint
	@touch $@
