# Everything runs from .venv, which env-setup makes from the lock file. `make` without a target lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PROMETHEUS_PORT ?= 9090
GRAFANA_PORT ?= 3000
ALERTMANAGER_PORT ?= 9093
export PROMETHEUS_PORT GRAFANA_PORT ALERTMANAGER_PORT
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help env-setup apps-up apps-dev apps-down infra-up infra-down open demo lint test faults faults-hub faults-nats check lock soak bench images stage-up stage-down release

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env-setup: .venv/synced .env ## Make .venv from the lock file and .env with a new secret
	@if [ -O .env ] && [ ! -L .env ]; then chmod go= .env; fi

.venv/synced: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv --constraint \
		<(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements-dev.txt)
	@VIRTUAL_ENV=$(CURDIR)/.venv uv pip sync --quiet --require-hashes requirements-dev.txt
	@touch $@

.env: | .venv/synced
	@umask 077; set -C; secret=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(32))'); \
		sed "s/^SECRET_KEY=.*/SECRET_KEY=\"$$secret\"/" .env.sample > .env

apps-up: env-setup ## Set up what is missing, then run web and sidecar; Ctrl+C stops them
	@exec python -m infra.apps up

apps-dev: env-setup ## Run web and sidecar, and start them again when code or a template changes
	@exec python -m infra.apps up --procfile infra/Procfile.dev

apps-down: env-setup ## Stop web and sidecar, however they were left running
	@python -m infra.apps down

infra-up: env-setup ## Run Prometheus and Grafana: in Docker when available, otherwise natively
	@honcho run python -m infra.stack up --prometheus-port $(PROMETHEUS_PORT) --grafana-port $(GRAFANA_PORT) $(if $(ALERTS),--alerts --alertmanager-port $(ALERTMANAGER_PORT))

infra-down: env-setup ## Stop Prometheus and Grafana
	@python -m infra.stack down

open: env-setup ## Open the desk and Grafana in the browser
	@honcho run sh -c 'python -m webbrowser "http://$$WEBAPP_HTTP_HOST:$$WEBAPP_HTTP_PORT"'
	@python -m webbrowser "http://127.0.0.1:$(GRAFANA_PORT)"

demo: env-setup ## Send 200 simulated trades to the running stack
	@honcho run flask --app webapp trades simulate --rate 20 --count 200

lint: env-setup ## Check style, format and types, of the scripts and styles of the pages too
	@ruff check . && ruff format --check . && mypy && python -m infra.lint
	@! command -v dashboard-linter >/dev/null || for each in infra/grafana/dashboards/*.json; do \
		dashboard-linter lint --strict "$$each"; done

test: env-setup ## Set up what is missing, then run every test
	@pytest --numprocesses 2 --dist loadfile

faults: env-setup ## Run the fault storm against a stack under load; takes some minutes, and root for a small disk
	@python -m tests.system.faults

faults-hub: env-setup ## Run faults against two hosts and two hubs (RATE=500 trades/s of each host, SECONDS=200); root for a small disk
	@python -m tests.system.hub_faults --rate $(or $(RATE),500) --seconds $(or $(SECONDS),200)

faults-nats: env-setup ## The same with three NATS nodes between hosts and hubs, and faults of the nodes
	@python -m tests.system.hub_faults --transport nats --rate $(or $(RATE),500) --seconds $(or $(SECONDS),200)

check: lint test ## Run lint and test, as before every commit

lock: env-setup ## Compile the lock files from the .in files
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header requirements.in -o requirements.txt
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header requirements-dev.in -o requirements-dev.txt

soak: env-setup ## Run the stack under load for two hours (MINUTES=120), and print memory, files, journal, lag and what was lost
	@python -m bench.soak --minutes $(or $(MINUTES),120)

bench: env-setup ## Measure against the goals and the peers, and write docs/bench-results.md (BEFORE=commit, FULL=1)
	@python -m bench --output docs $(if $(BEFORE),--before $(BEFORE)) $(if $(FULL),--full)

images: env-setup ## Build the image with Docker, Podman or Buildah
	@python -m infra.image.build

stage-up: env-setup ## Start every part in containers; make secrets, a first user and token, and show them once
	@python -m infra.stage up $(if $(NATS),--nats)

stage-down: env-setup ## Stop the containers of stage-up; trades and secrets are kept
	@python -m infra.stage down

release: env-setup ## Check the tagged commit, and build archive, image and checksums into dist/
	@python -m infra.release
