# The commands of contributors. Each target does its own set-up; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
APP_VENV := .venv-app
RUN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check

# --- set-up ---------------------------------------------------------------------------------------

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@echo "setting up $(VENV) from requirements/dev.txt"
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	@$(RUN)/python $(PIP) --require-hashes -r requirements/dev.txt
	@$(RUN)/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# The app has its own environment, so that the operator cannot depend on FastAPI by accident.
$(APP_VENV)/.ready: requirements/sample-app.test.txt runtime/pyproject.toml sample-app/pyproject.toml
	@echo "setting up $(APP_VENV) from requirements/sample-app.test.txt"
	@test -x $(APP_VENV)/bin/python || $(PYTHON) -m venv $(APP_VENV)
	@$(APP_VENV)/bin/python $(PIP) --require-hashes -r requirements/sample-app.test.txt
	@$(APP_VENV)/bin/python $(PIP) --no-deps --no-build-isolation -e runtime -e sample-app
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready $(APP_VENV)/.ready ## Create the virtual environments with all tools

# --- try it ---------------------------------------------------------------------------------------

.PHONY: demo
demo: ## Start a demo service; on a local node, or with CONTEXT=kind-x in that cluster
	@$(PYTHON) -m tests.demo up $(if $(CONTEXT),--context '$(CONTEXT)') $(if $(REGISTRY),--registry '$(REGISTRY)')

.PHONY: demo-down
demo-down: ## Remove the demo, and the local node if the demo started it
	@$(PYTHON) -m tests.demo down $(if $(CONTEXT),--context '$(CONTEXT)')

.PHONY: cluster-up
cluster-up: ## Start the local node with all images and print its KUBECONFIG
	@$(PYTHON) -m tests.cluster up --images

.PHONY: cluster-down
cluster-down: ## Stop the local node and remove its files
	@$(PYTHON) -m tests.cluster down

# --- check it -------------------------------------------------------------------------------------

.PHONY: test
test: setup ## Run all tiers, with a real API server and a real node, and compare times with budgets
	@$(RUN)/python -m tests.tiers

.PHONY: test-fast
test-fast: setup ## Run lint and the tests of the pure core; needs no cluster
	@$(RUN)/python -m tests.tiers lint unit

.PHONY: test-full
test-full: setup ## Run all tiers, Helm 4, Flux, the pages on a node, and 10,000 new examples per property test
	@$(RUN)/python -m tests.tiers --thorough

.PHONY: helm4
helm4: setup ## Test the charts and the life cycle of a release on the local node with Helm 4
	@$(RUN)/python -m tests.tiers helm4

.PHONY: bench-app
bench-app: setup ## Measure each technique of the sample app, and the effect of faults on its clients
	@cd sample-app && ../$(APP_VENV)/bin/python -m benchmarks --write
	@cd sample-app && ../$(APP_VENV)/bin/python -m benchmarks.faults --write
	@cd sample-app && ../$(APP_VENV)/bin/python -m benchmarks.startup --write

.PHONY: bench-serving
bench-serving: setup ## Compare tuned pods with a grid and with usual advice, on the local node (an hour)
	@$(RUN)/python -m tests.benchmarks.serving --write

.PHONY: bench-runtime
bench-runtime: setup ## Measure what the runtime adds to a request, beside the usual libraries
	@$(RUN)/python -m tests.benchmarks.runtime --write

.PHONY: bench-layers
bench-layers: setup ## Measure the sample app's cache and the proxy relative to a small request
	@PYTHONPATH=runtime $(RUN)/python -m tests.benchmarks.layers --write

.PHONY: bench-operator
bench-operator: setup ## Measure the operator with 1,000 services on a real API server (half an hour)
	@$(RUN)/python -m tests.benchmarks.operator --write

.PHONY: bench-observe
bench-observe: setup ## Measure what measuring 1,000 services costs the operator (40 minutes)
	@$(RUN)/python -m tests.benchmarks.operator.observing --write

.PHONY: bench-judge
bench-judge: setup ## Simulate 10,000 canaries of a version that is as the old one, and 500 of each worse one
	@$(RUN)/python -m tests.benchmarks.canary --write

.PHONY: bench-canary
bench-canary: setup ## Roll out good and bad versions with a canary under load, on the local node (an hour)
	@RECORD=1 $(RUN)/python -m pytest -s tests/full/canary

.PHONY: bench-delivery
bench-delivery: setup ## Count lost requests through a take-over on the local node
	@RECORD=1 $(RUN)/python -m pytest -s tests/full/test_take_over.py

.PHONY: cast
cast: setup ## Type the tour on the local node, and record its deployment for the animated picture
	@RECORD=1 $(RUN)/python -m pytest tests/full/test_tour.py
	@$(RUN)/python -m manifests.generate

.PHONY: prometheus
prometheus: setup ## Run each query of panels and rules on a real Prometheus under load, on the local node
	@RECORD=1 $(RUN)/python -m pytest tests/full/test_prometheus.py

.PHONY: pictures
pictures: setup ## Draw the dashboards of a service under load with Grafana's panels for README and docs, on the local node
	@RECORD=1 $(RUN)/python -m pytest tests/full/test_prometheus.py -k "grafana or pictures"

.PHONY: faults
faults: setup ## Inject every fault on 50 services twice, make 5,000 random edits, try 2,000 random pieces of pods
	@$(RUN)/python -m tests.faults --write
	@FAULTS=full $(RUN)/python -m pytest -v --timeout=1800 tests/api/test_random_edits.py \
	  tests/api/test_random_pieces.py \
	  tests/api/test_faults.py

.PHONY: resilience
resilience: setup ## Make every change under 200 requests/s and with 2,000 clients, on the local node (two hours; RESUME=1 continues)
	@$(RUN)/python -m tests.resilience $(if $(RESUME),--resume) --write

.PHONY: diagnose-faults
diagnose-faults: setup ## Inject each fault into real processes, and check that doctor and its alert name it
	@PYTHONPATH=runtime $(RUN)/python -m tests.diagnosis --write

.PHONY: judges
judges: setup ## Build the programs of other projects that judge the product (once; minutes)
	@$(RUN)/python -m tests.judges

.PHONY: proofs
proofs: setup ## Run the tests of each real controller and write the table of docs/proofs.md (hours; RESUME=1 continues)
	@$(RUN)/python -m tests.full.proved $(if $(RESUME),--resume) $(FILES)

.PHONY: mutate
mutate: setup ## Remove each builder and template line in turn: a test must fail (minutes, resumable)
	@$(RUN)/python -m tests.mutate --write

.PHONY: lint
lint: setup ## Check style, types, import directions and stale generated files
	@$(RUN)/python -m tests.tiers lint

.PHONY: site
site: setup ## Build the documentation as a site in build/site
	@NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build

.PHONY: generate
generate: setup ## Write every generated file (CRD, install.yaml, charts' copies)
	@$(RUN)/python -m manifests.generate

.PHONY: golden
golden: setup ## Update the expected files of the golden cases; read the diff
	@UPDATE_GOLDEN=1 $(RUN)/python -m pytest -q tests/golden

.PHONY: lock
lock: ## Update requirements/*.txt from the projects' dependencies; needs uv
	@bash requirements/lock.sh

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
