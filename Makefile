# Every entry point of the project. `make` alone prints this list.

CARGO ?= cargo
PYTHON ?= python3
PORT ?= 9000
VENV := .local/venv
STAMP := $(VENV)/.stamp
LOCAL := $(or $(CARGO_TARGET_DIR),target)/debug/local

.DEFAULT_GOAL := help
.PHONY: help setup build run demo test fmt clean inbox events dlq replay redrive doctor logs

# Which deployment the operator's targets speak of; `make run` writes this one.
export INBOX_STACK ?= .local/stack.json
INBOX := $(or $(CARGO_TARGET_DIR),target)/debug/inbox

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install the emulator into .local/venv (done by itself where it is needed)

# The stamp is written last, so that an installation that broke off starts over.
$(STAMP): tests/local/requirements.txt
	@command -v $(PYTHON) >/dev/null || { \
	  echo "python3 is missing: install Python 3.10 or later, or name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "$$($(PYTHON) --version) is too old: Python 3.10 or later is needed; name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "… installing the emulator into $(VENV)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

build: ## compile everything (debug profile)
	@echo "… compiling (the first time takes a few minutes)"
	@$(CARGO) build --quiet --workspace

run: setup build ## run the whole stack on http://127.0.0.1:9000/webhooks/{source} until Ctrl-C; PORT= changes it
	@exec $(LOCAL) run --port $(PORT)

demo: setup build ## drive the main job through the stack once and show what became of each event
	@exec $(LOCAL) demo

test: setup ## format, lints, build, all tests: what CI runs
	@echo "… checking the format"
	@$(CARGO) fmt --all --check
	@echo "… linting"
	@$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
	@echo "… compiling"
	@$(CARGO) build --quiet --workspace
	@echo "… testing"
	@$(CARGO) test --quiet --workspace
	@echo "all tests passed"

inbox: ## compile the operator's command, target/debug/inbox
	@$(CARGO) build --quiet --package inbox-operator

events: inbox ## list the newest events; ARGS='--source stripe --since 2h' filters
	@$(INBOX) events $(ARGS)

dlq: inbox ## show what lies in the dead-letter queue
	@$(INBOX) dlq $(ARGS)

replay: inbox ## run an event again: SOURCE=stripe ID=evt_1; or filters in ARGS; REASON= for the history
	@$(INBOX) replay $(SOURCE) $(ID) $(if $(REASON),--reason '$(REASON)') $(ARGS)

redrive: inbox ## send dead letters back to the queue; ARGS='--error "*timeout*"' filters
	@$(INBOX) redrive $(ARGS)

doctor: inbox ## check that the deployment is sound
	@$(INBOX) doctor $(ARGS)

logs: inbox ## follow a function's log: FUNCTION=processor, sweeper or receiver-SOURCE
	@$(if $(FUNCTION),,echo "say which: make logs FUNCTION=processor" >&2; exit 2)
	@$(INBOX) logs $(FUNCTION) $(ARGS)

fmt: ## format the code
	@$(CARGO) fmt --all

clean: ## remove what was built, installed and logged
	@$(CARGO) clean --quiet
	@rm -rf .local
