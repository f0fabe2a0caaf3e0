# Everything is written below this folder; only `make test` also installs Debian packages, where it runs as root.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help setup lint check test bench faults demo docs schema fmt dist pins clean

BIN := .venv/bin
READY := .venv/ready
SCHEMA := schemas/replicated-images.schema.json
PLAN := schemas/plan.schema.json
REPORT := schemas/report.schema.json
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-cache-dir
NO_SERVERS := not (docker_registry or distribution or olareg or crane or dockerd or buildx or skopeo or chromium or package_index)
UV := uv==0.13.9

help: ## List the targets
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: $(READY) ## Create .venv with the pinned requirements and replsync, once and when they change

$(READY): requirements-dev.txt pyproject.toml
	@echo "setting up .venv"
	@"$$(scripts/find-python)" -m venv --clear .venv
	@$(PIP) install --require-hashes --requirement requirements-dev.txt
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

lint: $(READY) ## Lint, types, and whether the schemas are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/replsync schema | diff $(SCHEMA) - || { echo "$(SCHEMA) is not current: run 'make schema'" >&2; exit 1; }
	$(BIN)/replsync schema plan | diff $(PLAN) - || { echo "$(PLAN) is not current: run 'make schema'" >&2; exit 1; }
	$(BIN)/replsync schema report | diff $(REPORT) - || { echo "$(REPORT) is not current: run 'make schema'" >&2; exit 1; }

check: lint ## Lint, types, the schemas, and the tests that need no server program
	$(BIN)/pytest -m "$(NO_SERVERS)"

test: $(READY) ## All tests; installs and builds servers, as root on Debian and where Go is
	@scripts/install-servers
	$(BIN)/pytest $(addprefix --cov=replsync/,oci manifest plan render) --cov-report=term

bench: $(READY) ## Measure replsync beside its peers, and write docs/benchmarks.md; options: make bench BENCH="--workload c"
	@scripts/install-servers
	$(BIN)/python -m benchmarks $(BENCH)

faults: $(READY) ## Faults on the wire, for replsync and its peers: a table in build/faults.md; FAULTS="--help" for options
	@scripts/install-servers
	$(BIN)/python -m tests.faults.peers $(FAULTS)

demo: $(READY) ## The whole story, on a sandbox of its own: plan, apply, retire a tag, take it back
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh

docs: $(READY) ## Build the documentation's site into build/site, without the network
	@$(BIN)/python -m sphinx -E -W --keep-going -q -b html -d build/doctrees docs build/site
	@echo "build/site/index.html"

schema: $(READY) ## Write the JSON Schemas of manifest, plan and report anew from the code
	@mkdir -p build $(dir $(SCHEMA))
	@$(BIN)/replsync schema > build/schema.json
	@$(BIN)/replsync schema plan > build/plan.schema.json
	@$(BIN)/replsync schema report > build/report.schema.json
	@mv build/schema.json $(SCHEMA)
	@mv build/plan.schema.json $(PLAN)
	@mv build/report.schema.json $(REPORT)

fmt: $(READY) ## Format the code, and mend what ruff can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dist: $(READY) ## Build the sdist and the wheel
	@rm -rf dist
	$(BIN)/python -m build --no-isolation

pins: ## Write requirements.txt and requirements-dev.txt anew with the newest versions
	@"$$(scripts/find-python)" -m venv --clear build/pins
	@build/pins/bin/python -m pip --quiet --disable-pip-version-check --no-cache-dir install $(UV)
	@build/pins/bin/uv pip compile --quiet --no-cache --upgrade --universal --python-version 3.11 --extra dev \
		--generate-hashes --no-strip-extras --custom-compile-command "make pins" --output-file requirements-dev.txt pyproject.toml
	@build/pins/bin/uv pip compile --quiet --no-cache --universal --python-version 3.11 --constraint requirements-dev.txt \
		--generate-hashes --no-strip-extras --custom-compile-command "make pins" --output-file requirements.txt pyproject.toml

clean: ## Remove .venv and everything else that these targets made
	rm -rf .venv build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find replsync benchmarks docs tests -name __pycache__ -type d -prune -exec rm -rf {} +
