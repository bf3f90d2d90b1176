# The two commands of a newcomer are `make run` and `make test`; `make help` lists all.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ON_NEWEST := $(addprefix cry_pipeline_tests/,catalog corpus features folds orchestration deploy) $(wildcard cry_pipeline_tests/test_*.py)
CORES := $(shell getconf _NPROCESSORS_ONLN)

.DEFAULT_GOAL := help
.PHONY: help install run study ui test test-newest faults bench check format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Create .venv with the locked dependencies

$(INSTALLED): pyproject.toml cry_pipeline/deploy/constraints.txt cry_pipeline/deploy/install.py
	@$(PYTHON) cry_pipeline/deploy/install.py $(VENV)
	@touch $@

run: $(INSTALLED) ## Get the corpus and materialize everything that is missing or stale
	@$(BIN)/cry-pipeline run

study: $(INSTALLED) ## The same with the experiments of tier study; hours, and resumed when run again
	@$(BIN)/cry-pipeline run --study

ui: $(INSTALLED) ## Open the Dagster UI on what `make run` made (http://127.0.0.1:3000)
	@$(BIN)/cry-pipeline ui

test: $(INSTALLED) ## Run the tests; those on the real corpus need CRY_PIPELINE_CORPUS
	@$(BIN)/pytest -n $(CORES) --dist worksteal

test-newest: ## Run the tests that need no torch on the newest other Python found (where there is one)
	@code=0; $(PYTHON) cry_pipeline/deploy/install.py $(VENV)-newest --newest-without-torch || code=$$?; \
	if [ $$code -eq 3 ]; then exit 0; elif [ $$code -ne 0 ]; then exit $$code; fi; \
	$(VENV)-newest/bin/python --version; \
	CRY_PIPELINE_WITHOUT_TORCH=1 $(VENV)-newest/bin/pytest -n $(CORES) --dist worksteal $(ON_NEWEST)

faults: $(INSTALLED) ## Run the full fault tests: the store, whole processes, the daemon; more than half an hour
	@CRY_PIPELINE_FAULTS=full $(BIN)/pytest -s cry_pipeline_tests/faults
	@$(BIN)/pytest -m daemon cry_pipeline_tests/orchestration

bench: $(INSTALLED) ## Measure speed and memory as ratios within one run; some minutes
	@$(BIN)/python -m cry_pipeline_tests.benchmarks

check: $(INSTALLED) ## Lint, check formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright

format: $(INSTALLED) ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: $(INSTALLED) ## Resolve the dependencies anew into cry_pipeline/deploy/constraints.txt
	@$(BIN)/python -m uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --quiet \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links -o cry_pipeline/deploy/constraints.txt

clean: ## Remove the environment; data stay
	rm -rf $(VENV) $(VENV)-newest
