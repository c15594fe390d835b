# make run    start the explorer          make test       all tests but the slow ones
# make lint   style and types             make test-slow  the slow ones: every preset trained, and held to its word
# make bench  measurements (printed, not judged)   make words  bring the translations up to date with the sources
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := run
.PHONY: run test test-slow lint bench words clean

run: .venv/run.stamp
	$(BIN)/streamlit run app/main.py

test: .venv/dev.stamp
	$(BIN)/pytest -n 2

test-slow: .venv/dev.stamp
	$(BIN)/pytest -m slow --timeout 1200

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev.stamp
	set -e; for script in tests/benchmarks/[a-z]*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script; done

words: .venv/run.stamp
	$(BIN)/python -m app.messages

clean:
	rm -rf .venv

# A stamp is newer than the requirements it installed: a second `make` installs nothing.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev.stamp: requirements-dev.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ .venv/run.stamp
