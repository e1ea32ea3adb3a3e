# synguard: what a person does with this checkout. `make` alone lists the targets.
#
# make itself exits with 2 whenever a command failed; the command's own exit code is in make's last line:
# "Error 3" means not permitted or not supported here, and the lines above it say what to do.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Nothing here is a file, and two targets at once would only be in each other's way.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
IFACE ?=
ARGS ?=
FUZZ_S ?= 60
DESTDIR ?=

.PHONY: help
help: ## list the targets
	@echo "sudo make TARGET [IFACE=eth1] [ARGS=\"...\"]"
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14 | sed 's/^/  /'

.PHONY: run
run: need-root setup-run ## guard the default route's interface, or IFACE, in dry-run; ARGS go to `synguard run`
	@exec $(BIN)/synguard run $(if $(IFACE),--interface "$(IFACE)") $(ARGS)

.PHONY: demo
demo: need-root setup-run ## a flood and its answer in namespaces of its own, at most 45 s; ARGS="--json FILE"
	@exec $(BIN)/python3 -m bench.demo $(ARGS)

.PHONY: bench
bench: need-root setup-bench ## floods in namespaces of its own, measured; ARGS="list", else "run all --quick"
	@exec $(BIN)/python3 -m bench $(or $(ARGS),run all --quick)

.PHONY: test
test: need-root setup-test lint-only ## lint, type-check and run every test tier
	@echo "make test: pytest, all tiers"
	@exec $(BIN)/python3 -m pytest $(ARGS)

.PHONY: fuzz
fuzz: setup-test ## fuzz the packet parser for a minute, or FUZZ_S seconds; an input that breaks it is kept
	@exec $(BIN)/python3 -m tests.fuzz --seconds "$(FUZZ_S)" $(ARGS)

.PHONY: lint
lint: setup-test lint-only ## ruff, mypy, import-linter and shellcheck

.PHONY: lint-only
lint-only:
	@echo "make lint: ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "run '$(BIN)/ruff format .'" >&2; exit 1; }
	@echo "make lint: mypy"
	@$(BIN)/mypy
	@echo "make lint: import-linter"
	@PYTHONPATH=. $(BIN)/lint-imports
	@echo "make lint: shellcheck"
	@shellcheck -x .ci/run .ci/setup systemd/install systemd/uninstall systemd/debian/build systemd/debian/stage \
	    tests/service/boot.sh

.PHONY: install
install: ## install the systemd service into /opt/synguard and start it; DESTDIR is respected
	@DESTDIR="$(DESTDIR)" systemd/install

.PHONY: uninstall
uninstall: ## remove what install put there; the configuration and the history stay
	@DESTDIR="$(DESTDIR)" systemd/uninstall

.PHONY: deb
deb: ## build the Debian package into dist/
	@systemd/debian/build

.PHONY: clean
clean: ## remove .venv, caches and build leftovers from this checkout
	@rm -rf .venv build dist bench-results *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: need-root
need-root:
	@if [ "$$(id -u)" -ne 0 ]; then \
	    echo "this loads programs into the kernel, and so needs root: run 'sudo make $(MAKECMDGOALS)'" >&2; \
	    exit 3; \
	fi

.PHONY: setup-run
setup-run:
	@SETUP_FOR="$(MAKECMDGOALS)" .ci/setup run

.PHONY: setup-bench
setup-bench:
	@SETUP_FOR="$(MAKECMDGOALS)" .ci/setup bench

.PHONY: setup-test
setup-test:
	@SETUP_FOR="$(MAKECMDGOALS)" .ci/setup test
