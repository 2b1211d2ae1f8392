# Everything starts here: `make` explains the targets. Nothing is installed outside .venv, except by the tests: Chromium
# (tools/setup_browser.sh), Node.js and Apache (tools/setup_clients.sh) when they are missing.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes
TRANSLATIONS := $(patsubst %.po,%.mo,$(wildcard translations/*/LC_MESSAGES/messages.po))
# `make run` and `make demo` listen here; the same two variables are read by tools/run.py.
PORT ?= 8000
BANK_PORT ?= 8001
export PORT BANK_PORT

.PHONY: help run demo test suite visitors trials lint bench screenshots messages lock migrate clean set-up set-up-dev

help:  ## Explain the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: set-up  ## Start the service, its worker, the demonstration bank and a counter (PORT=8000 BANK_PORT=8001); Ctrl-C stops all
	@$(VENV)/bin/python -m tools.run

demo: set-up-dev  ## Walk through lending, reading and stopping without a browser, on a server of its own
	@$(VENV)/bin/python -m examples.demo

test: set-up-dev  ## Everything that must pass: lint, types, the suite on SQLite and PostgreSQL, journeys
	@$(MAKE) --no-print-directory -j2 lint suite
	DATASPACE_TEST_DATABASE=postgresql $(VENV)/bin/python -m pytest -n 2 --dist worksteal -m "not browser and not clients"
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile -m "browser or clients"

# Types are checked on one core, beside what has work for the other one.
suite: set-up-dev visitors
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal -m "not browser and not clients"

visitors:
	tools/setup_browser.sh
	tools/setup_clients.sh

trials: set-up-dev  ## Race 10000 withdrawals against readers in several processes on PostgreSQL, and print the figure
	DATASPACE_WITHDRAWALS=10000 DATASPACE_TEST_DATABASE=postgresql $(VENV)/bin/python -m pytest -n 0 -q tests/test_races.py -k confirmed

lint: set-up-dev  ## Check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: set-up-dev  ## Measure reads and more beside their floor, a log of 10 million, an import of 1 million (BENCH=--quick)
	$(VENV)/bin/python -m bench $(BENCH)

screenshots: set-up-dev  ## Take pictures of every kind of page into var/screenshots (LANGUAGES= WIDTHS= SCHEMES= take fewer)
	tools/setup_browser.sh
	@$(VENV)/bin/python -m tools.screenshots

messages: set-up-dev  ## Collect the texts of the pages into translations/ and say what is not translated yet
	@$(VENV)/bin/python -m tools.messages

migrate: set-up  ## Bring the database of DATASPACE_DATABASE_URL to the newest tables
	$(VENV)/bin/flask --app wsgi db upgrade

lock: set-up-dev  ## Write both lock files anew from pyproject.toml
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" pyproject.toml --group dev -o requirements-dev.lock

clean:  ## Remove the environment, caches and the demonstration's data (var/)
	rm -rf $(VENV) var tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f translations/*/LC_MESSAGES/*.mo

set-up: $(VENV)/run.stamp $(TRANSLATIONS)

set-up-dev: $(VENV)/dev.stamp $(TRANSLATIONS)

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "Python 3.11 or later is needed; name one with PYTHON=python3.12 make ..." >&2; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV) \
	|| { rm -rf $(VENV); echo "python3 -m venv failed (Debian: apt-get install python3-venv)" >&2; exit 1; }

# A stamp is younger than its lock exactly when the environment holds what the lock says.
$(VENV)/run.stamp: requirements.lock | $(VENV)/bin/pip
	@echo "Installing requirements.lock"
	@$(PIP) -r requirements.lock
	@touch $@

# The development lock holds everything of the other one.
$(VENV)/dev.stamp: requirements-dev.lock requirements.lock | $(VENV)/bin/pip
	@echo "Installing requirements-dev.lock"
	@$(PIP) -r requirements-dev.lock
	@touch $(VENV)/run.stamp $@

# Recorded as order-only on the stamp: compiling needs Babel, which the lock brings.
%.mo: %.po | $(VENV)/run.stamp
	@$(VENV)/bin/pybabel --quiet compile --input-file $< --output-file $@ --locale $(notdir $(patsubst %/LC_MESSAGES/,%,$(dir $<)))
