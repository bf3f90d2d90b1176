# The two commands of a newcomer are `make run` and `make test`; `make help` lists all.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One environment, two stages: what the pipeline needs, and with it what its developers need.
PIPELINE := $(VENV)/.installed-pipeline
DEV := $(VENV)/.installed-dev
LOCK := cry_pipeline/deploy/constraints.txt
ON_LOWEST := $(addprefix cry_pipeline_tests/,catalog corpus features folds evaluation training inference reports)
ON_NEWEST := $(addprefix cry_pipeline_tests/,catalog corpus features folds evaluation reports orchestration command guards deploy) $(wildcard cry_pipeline_tests/test_*.py)
TOOL := $(BIN)/python -m uv tool run --quiet --python $(BIN)/python --constraints $(LOCK)
# Ids of vulnerabilities that do not touch what is used of a distribution; each with its reason, in a line above.
IGNORED :=
# A test that hangs is ended, and says where it was.
TIMED := --timeout 300
CORES := $(shell getconf _NPROCESSORS_ONLN)

# `make run ENGINE=ray`: spread work over a Ray cluster, RAY_ADDRESS's or one started here.
ifdef ENGINE
export CRY_PIPELINE_ENGINE := $(ENGINE)
endif
RAY := $(VENV)/.installed-ray
RUNS := $(if $(filter ray,$(ENGINE)),$(RAY),$(PIPELINE))

.DEFAULT_GOAL := help
.PHONY: help install install-dev run study ui test test-base test-ui test-deploy test-ray test-lowest test-newest faults fuzz bench growth simulate check format lock audit licences sbom clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(PIPELINE) ## Create .venv with the locked dependencies of `make run`

install-dev: $(DEV) ## The same with the tools that tests and checks need

$(PIPELINE) $(RAY) $(DEV): pyproject.toml $(LOCK) cry_pipeline/deploy/install.py
	@$(PYTHON) cry_pipeline/deploy/install.py $(VENV) --extra $(@:$(VENV)/.installed-%=%)
	@touch $(PIPELINE) $@

run: $(RUNS) ## Get the corpus and materialize everything that is missing or stale
	@$(BIN)/cry-pipeline run

study: $(RUNS) ## The same with the experiments of tier study; hours, and resumed when run again
	@$(BIN)/cry-pipeline run --study

ui: $(PIPELINE) ## Open the Dagster UI and the reports on what `make run` made (http://127.0.0.1:3000, :3001)
	@$(BIN)/cry-pipeline ui

test: $(DEV) ## Run the tests; those on the real corpus need CRY_PIPELINE_CORPUS
	@$(BIN)/pytest $(TIMED) -n $(CORES) --dist worksteal

test-base: $(DEV) ## Try in environments of their own: a wheel that predicts, tools that read what is published
	@$(BIN)/pytest $(TIMED) -m base cry_pipeline_tests/deploy cry_pipeline_tests/publishing

test-ui: $(DEV) ## Look at the UI and the pages with Chromium, where there is one; minutes, pictures in .screenshots/
	@$(BIN)/pytest $(TIMED) -m ui cry_pipeline_tests/ui

test-deploy: $(DEV) ## Run the shipped deployment on PostgreSQL, and take its parts away; minutes, as root
	@$(BIN)/pytest -s -m deploy cry_pipeline_tests/deploy

test-ray: $(DEV) ## Run work and whole runs on a Ray cluster, and take its parts away; long, as root
	@$(BIN)/pytest -s -m ray cry_pipeline_tests

test-lowest: ## Run the tests of what computes with the lowest versions that pyproject.toml allows (Python 3.11)
	@$(PYTHON) cry_pipeline/deploy/install.py $(VENV)-lowest --extra dev --lowest
	@$(VENV)-lowest/bin/pytest $(TIMED) -n $(CORES) --dist worksteal $(ON_LOWEST)

test-newest: ## Run the tests that need no torch, and the base, on the newest other Python found (where there is one)
	@code=0; $(PYTHON) cry_pipeline/deploy/install.py $(VENV)-newest --extra dev --newest-without-torch || code=$$?; \
	if [ $$code -eq 3 ]; then exit 0; elif [ $$code -ne 0 ]; then exit $$code; fi; \
	$(VENV)-newest/bin/python --version; \
	CRY_PIPELINE_WITHOUT_TORCH=1 $(VENV)-newest/bin/pytest $(TIMED) -n $(CORES) --dist worksteal $(ON_NEWEST)

faults: $(DEV) ## Run the full fault tests: the store, whole processes, the daemon; more than half an hour
	@CRY_PIPELINE_FAULTS=full $(BIN)/pytest -s cry_pipeline_tests/faults
	@$(BIN)/pytest -m daemon cry_pipeline_tests/orchestration

fuzz: $(DEV) ## Read 100,000 damaged files and names, then what coverage leads to; half an hour
	@$(BIN)/python -m cry_pipeline_tests.fuzz
	@$(BIN)/pytest -n $(CORES) --hypothesis-profile searching -m hypothesis

bench: $(DEV) ## Measure speed and memory as ratios within one run; some minutes
	@$(BIN)/python -m cry_pipeline_tests.benchmarks

growth: $(DEV) ## Measure what a row costs at 10,000 to a million rows (ROWS=100000: less); half an hour
	@$(BIN)/python -m cry_pipeline_tests.growth --rows $(or $(ROWS),1000000)

simulate: $(DEV) ## Simulate, after `make run`, how often verdicts are wrong; some minutes each
	@$(BIN)/python -m cry_pipeline_tests.simulations

check: $(DEV) ## Lint, check formatting, types, and which file may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo --no-cache

format: $(DEV) ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: $(DEV) ## Resolve the dependencies anew, with the hashes of all their files
	@$(BIN)/python -m uv pip compile pyproject.toml --extra dev --group audit --group build --universal \
		--python-version 3.11 --quiet --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links -o $(LOCK)

audit: $(DEV) ## Ask the registry for known vulnerabilities of the locked versions
	@$(TOOL) pip-audit --strict --disable-pip --require-hashes --requirement $(LOCK) $(addprefix --ignore-vuln ,$(IGNORED))

licences: $(DEV) ## List what the locked dependencies may be used under, in licences.csv beside the lock
	@$(BIN)/python -m cry_pipeline_tests.deploy.test_licences

sbom: $(DEV) ## List what is installed, as CycloneDX in dist/
	@mkdir -p dist
	@$(TOOL) --from cyclonedx-bom cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file dist/cry-pipeline.cdx.json $(BIN)/python

clean: ## Remove the environment; data stay
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest
