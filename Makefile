# Everything is done from here; `make` alone says what there is.
# A machine needs Python 3.11 to 3.13 and this file, nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RECIPE ?= quick
ARTIFACTS ?= artifacts
PORT ?= 4200

export PYTHONUNBUFFERED := 1
# Prefect's own files stay beside the project's, and it reports to nobody.
export PREFECT_HOME ?= $(abspath $(ARTIFACTS))/prefect
export DO_NOT_TRACK ?= 1
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false

# Only what was given is passed on, so that environment variables keep their say.
options = $(if $(CORPUS),--corpus '$(CORPUS)') $(if $(ARCHIVE),--archive '$(ARCHIVE)') \
  $(if $(ARCHIVE_SHA256),--archive-sha256 '$(ARCHIVE_SHA256)') --artifacts '$(ARTIFACTS)'

service = --artifacts '$(ARTIFACTS)' --port '$(PORT)'

.DEFAULT_GOAL := help
.PHONY: help pipeline serve deploy stop status test test-faults bench lint format requirements clean

help: ## Print these targets
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'
	@echo 'pipeline takes RECIPE=name or file.toml, CORPUS=auto|imdb|aclimdb|files|sample,'
	@echo '  ARCHIVE=your copy of the archive, ARCHIVE_SHA256=its checksum, ARTIFACTS=folder'
	@echo 'serve, deploy, stop and status take PORT=number, ARTIFACTS=folder'

pipeline: $(VENV)/pipeline.stamp ## From reviews to a proven bundle (RECIPE=, CORPUS=, ARCHIVE=, ARCHIVE_SHA256=)
	@mkdir -p "$$PREFECT_HOME"
	@$(BIN)/python -m flows.build_bundle '$(RECIPE)' $(options)

serve: $(VENV)/pipeline.stamp ## Start a Prefect server and a worker on this machine, until `make stop` (PORT=)
	@$(BIN)/python -m flows.service start $(service)

deploy: $(VENV)/pipeline.stamp ## Register the deployments of prefect.yaml with it
	@$(BIN)/python -m flows.service deploy $(service)

stop: $(VENV)/pipeline.stamp ## End what `make serve` started, and nothing else
	@$(BIN)/python -m flows.service stop $(service)

status: $(VENV)/pipeline.stamp ## Show server, worker and runs
	@$(BIN)/python -m flows.service status $(service)

test: $(VENV)/development.stamp ## Run the tests (ARGS= goes to pytest)
	@$(BIN)/python -m pytest $(ARGS)

test-faults: $(VENV)/development.stamp ## Kill, break and fill up everywhere, at length, and print how each case fared
	@$(BIN)/python -m pytest -p tests.faults.case_table --long -m 'fault or case' $(ARGS)

bench: $(VENV)/benchmarks.stamp ## Measure beside rivals, in some minutes (ARCHIVE=, ARGS= names contests: see ARGS=--help)
	@$(BIN)/python -m benchmarks $(ARGS) $(if $(ARCHIVE),--reviews '$(ARCHIVE)') --artifacts '$(ARTIFACTS)/benchmarks'

lint: $(VENV)/development.stamp ## Check style, types and the arrows between the rooms; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/development.stamp ## Put the code into its format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

requirements: $(VENV)/development.stamp ## Renew the exact versions under requirements/ (needs uv)
	@requirements/renew

clean: ## Remove runs and caches; bundles stay, a service does not
	@if [ -x $(BIN)/python ] && [ -f '$(ARTIFACTS)/prefect/service.json' ]; then $(BIN)/python -m flows.service stop $(service); fi
	rm -rf '$(ARTIFACTS)/runs' '$(ARTIFACTS)/prefect' .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/python.stamp: Makefile
	@command -v '$(PYTHON)' >/dev/null || { echo "$(PYTHON) is not there; Resenha needs Python 3.11 to 3.13: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); \
	  sys.exit(0 if ok else f"Resenha needs Python 3.11 to 3.13, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv '$(VENV)'
	@touch $@

# The other environments can do all that a pipeline's can, so they are never taken back.
$(VENV)/pipeline.stamp $(VENV)/development.stamp $(VENV)/benchmarks.stamp: $(VENV)/%.stamp: $(VENV)/python.stamp requirements/%.txt pyproject.toml
	@echo 'installing requirements/$*.txt into $(VENV) (once; TensorFlow alone is 1.9 GB unpacked) ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@ $(VENV)/pipeline.stamp
