# Every entry point of the project. `make` alone prints this list.

CARGO ?= cargo
PYTHON ?= python3
PORT ?= 9000
VENV := .local/venv
STAMP := $(VENV)/.stamp
# What the emulators of a whole test run decided.
DECISIONS := .local/decisions
LOCAL := $(or $(CARGO_TARGET_DIR),target)/debug/local

# What reaches a shell as one word, whatever stands in it: ids are chosen by whoever
# sends an event. `given` takes a variable's name and makes nothing of a `$` in it.
quoted = '$(subst ','\'',$(1))'
given = $(call quoted,$(value $(1)))
# Nor is it handed on in the environment, for which make would expand it.
unexport SOURCE ID REASON FUNCTION

.DEFAULT_GOAL := help
.PHONY: help setup build run demo test model chaos fmt clean inbox events dlq replay redrive doctor logs
.PHONY: package package-test infra-check infra-schema infra-apply
.PHONY: plan deploy destroy outputs account packed initialised

# Which deployment the operator's targets speak of; `make run` writes this one.
export INBOX_STACK ?= .local/stack.json
INBOX := $(or $(CARGO_TARGET_DIR),target)/debug/inbox

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install the emulator and the fault proxy into .local/venv (done by itself where it is needed)

# The stamp is written last, so that an installation that broke off starts over.
$(STAMP): tests/local/requirements.txt
	@command -v $(PYTHON) >/dev/null || { \
	  echo "python3 is missing: install Python 3.10 or later, or name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "$$($(PYTHON) --version) is too old: Python 3.10 or later is needed; name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "… installing the emulator and the fault proxy into $(VENV)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

build: ## compile everything (debug profile)
	@echo "… compiling (the first time takes a few minutes)"
	@$(CARGO) build --locked --quiet --workspace

run: setup build ## run the whole stack on http://127.0.0.1:9000/webhooks/{source} until Ctrl-C; PORT= changes it, PACKAGE=1 runs the packages
	@INBOX_PACKAGES=$(if $(value PACKAGE),$(call quoted,$(OWN_PACKAGES))) exec $(LOCAL) run --port $(call given,PORT)

demo: setup build ## drive the main job through the stack once and show what became of each event
	@$(MAKE) --no-print-directory examples || echo "… going on without the example in TypeScript"
	@exec $(LOCAL) demo

# One pass instead of two: Clippy as the compiler of what is ours, which is how `cargo clippy`
# calls it too, but for a build. What we depend on is compiled once then.
LINTED := RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__

test: setup examples ## format, lints, build, all tests: what CI runs
	@echo "… checking the format"
	@$(CARGO) fmt --all --check
	@if command -v $(TERRAFORM) >/dev/null; then $(TERRAFORM) fmt -check -recursive infra; fi
	@echo "… compiling and linting (the first time takes some ten minutes)"
	@$(LINTED) $(CARGO) build --locked --quiet --workspace --all-targets
	@echo "… testing"
	@rm -rf $(DECISIONS)
	@INBOX_DECISIONS='$(CURDIR)/$(DECISIONS)' $(LINTED) $(CARGO) test --locked --quiet --workspace --no-fail-fast
	@$(LOCAL) needed $(DECISIONS)
	@echo "all tests passed"

chaos: setup ## faults, kills and lost messages against the binaries: SECONDS=60 or EVENTS=, SEED= to repeat one
	@$(CARGO) build --locked --quiet --workspace
	@SECONDS=$(call given,SECONDS) EVENTS=$(call given,EVENTS) SEED=$(call given,SEED) $(CARGO) test --locked --quiet --workspace --test suite -- \
	  --ignored --nocapture --exact chaos::storms::as_long_as_it_is_told

memory: setup ## peak memory of the processor at the documented limits, release build
	@$(CARGO) build --locked --quiet --release --package inbox-processor
	@PROCESSOR=$(abspath $(or $(CARGO_TARGET_DIR),target))/release/processor \
	  $(CARGO) test --locked --quiet --workspace --test suite -- --ignored --nocapture --exact \
	  e2e::memory::ten_events_of_six_megabytes_with_32_routes_stay_below_400_mb

inbox: ## compile the operator's command, target/debug/inbox
	@$(CARGO) build --locked --quiet --package inbox-operator

events: inbox ## list the newest events; ARGS='--source stripe --since 2h' filters
	@$(INBOX) events $(ARGS)

dlq: inbox ## show what lies in the dead-letter queue
	@$(INBOX) dlq $(ARGS)

replay: inbox ## run an event again: ID=evt_1, with SOURCE= where several have it; or filters in ARGS; REASON= for the history
	@$(INBOX) replay $(if $(value REASON),$(call quoted,--reason=$(value REASON))) $(ARGS) \
	  $(if $(value SOURCE)$(value ID),-- $(if $(value SOURCE),$(call given,SOURCE)) $(if $(value ID),$(call given,ID)))

redrive: inbox ## send dead letters back to the queue; ARGS='--error "*no answer within*"' filters
	@$(INBOX) redrive $(ARGS)

doctor: inbox ## check that the deployment is sound
	@$(INBOX) doctor $(ARGS)

logs: inbox ## follow a function's log: FUNCTION=processor, sweeper or receiver-SOURCE
	@$(if $(value FUNCTION),,echo "say which: make logs FUNCTION=processor" >&2; exit 2)
	@$(INBOX) logs $(ARGS) -- $(call given,FUNCTION)

# The targets below speak to an AWS account. Each ENV has a state, names and a
# working folder of its own, so that a change of ENV never touches another's. Where it
# lives stands in its settings, not in somebody's shell: with another region the provider
# would plan to destroy everything here and to make it there.
ENV ?= dev
SETTINGS = infra/env/$(value ENV).tfvars
setting = $(shell sed -n 's/^$(1)[[:space:]]*=[[:space:]]*"\([a-z0-9-]*\)".*/\1/p' $(call quoted,$(SETTINGS)) 2>/dev/null)
REGION = $(call setting,region)
ARCH ?= arm64
export TERRAFORM ?= terraform
AWS ?= aws
PACKAGES ?= $(CURDIR)/.local/package/$(ARCH)
DEPLOYED := .local/deployed.json
TF_FOLDER = .local/terraform/$(REGION)/$(value ENV)
TF = TF_DATA_DIR=$(call quoted,$(CURDIR)/$(TF_FOLDER)) $(TERRAFORM) -chdir=infra
TF_VARS = -var=environment=$(call given,ENV) -var=architecture=$(call given,ARCH) \
  -var=$(call quoted,packages_directory=$(PACKAGES)) \
  $(if $(wildcard $(SETTINGS)),-var-file=$(call quoted,env/$(value ENV).tfvars)) -var=region=$(call quoted,$(REGION))

# What is planned, and what the processor's own code says of its routes, before anything
# is changed: a processor that does not start leaves events waiting. A plan may hold values
# that are nobody else's to read.
PLAN = $(call quoted,$(CURDIR)/.local/terraform/$(value ENV).plan)
planned = umask 077 && $(TF) plan $(TF_VARS) -out=$(PLAN) \
  && { $(TF) show -json $(PLAN) | $(INBOX) routes check --plan -; }

plan: account inbox package packed initialised ## show what a deployment would change: ENV=dev, ARCH=arm64; settings in infra/env/ENV.tfvars
	@$(planned); judged=$$?; rm -f $(PLAN); exit $$judged

deploy: account inbox package packed initialised ## deploy into the AWS account: ENV=dev, ARCH=arm64; YES=1 asks nothing
	@$(planned) || { rm -f $(PLAN); echo "nothing was deployed" >&2; exit 2; }
	@$(if $(YES),:,printf 'Deploy this to %s? Only `yes` does: ' $(call given,ENV); read answer; [ "$$answer" = yes ]) \
	  || { rm -f $(PLAN); echo "nothing was deployed" >&2; exit 1; }
	@$(TF) apply $(PLAN); applied=$$?; rm -f $(PLAN); exit $$applied
	@$(MAKE) --no-print-directory outputs

destroy: account packed initialised ## take a deployment down, with everything that it holds: ENV=dev
	@$(TF) output -json >$(call quoted,$(TF_FOLDER)/outputs.json)
	@stopped=; \
	AWS=$(call given,AWS) YES=$(call given,YES) $(PYTHON) infra/obstacles.py $(call quoted,$(REGION)) <$(call quoted,$(TF_FOLDER)/outputs.json) || stopped=1; \
	if $(TF) show -json | grep -q '"deletion_protection_enabled":true'; then stopped=1; \
	  echo "the tables of "$(call given,ENV)" refuse to be deleted: put \`deletion_protection = false\` into" >&2; \
	  echo $(call quoted,$(SETTINGS))" and run \`make deploy ENV="$(call given,ENV)"\`" >&2; fi; \
	[ -z "$$stopped" ] || { echo "nothing was destroyed; then run \`make destroy ENV="$(call given,ENV)"\` again" >&2; exit 1; }
	@$(TF) destroy $(TF_VARS) $(if $(YES),-auto-approve)

outputs: account initialised ## write where everything is into .local/deployed.json, and say what to do next: ENV=dev
	@mkdir -p .local
	@$(TF) output -json >$(DEPLOYED).new
	@if [ "$$(tr -d '[:space:]' <$(DEPLOYED).new)" = '{}' ]; then rm $(DEPLOYED).new; \
	  echo "nothing is deployed in "$(call given,ENV)" yet: run \`make deploy ENV="$(call given,ENV)"\`, or name another with ENV=" >&2; exit 1; fi
	@mv $(DEPLOYED).new $(DEPLOYED)
	@$(TF) output -raw next_steps

# What is missing is said before anything is built, and not in Terraform's words.
account:
	@printf '%s' $(call given,ENV) | grep -Eq '^[a-z][a-z0-9-]{0,10}[a-z0-9]$$' || { \
	  printf "ENV must be 2 to 12 lower-case letters, digits and hyphens, such as dev or prod, not '%s'\n" $(call given,ENV) >&2; exit 2; }
	@[ -n $(call quoted,$(REGION)) ] || { \
	  echo "in which region does "$(call given,ENV)" live? Say it once, in "$(call quoted,$(SETTINGS))":" >&2; \
	  echo "  mkdir -p infra/env && echo 'region = \"$${AWS_REGION:-eu-central-1}\"' >>"$(call quoted,$(SETTINGS)) >&2; exit 1; }
	@printf '%s' $(call quoted,$(REGION)) | grep -Eq '^[a-z0-9-]*$$' || { \
	  printf "'%s' is no region\n" $(call quoted,$(REGION)) >&2; exit 2; }
	@for named in $(call setting,region) $$AWS_REGION $$AWS_DEFAULT_REGION; do \
	  [ "$$named" = $(call quoted,$(REGION)) ] || { \
	    echo "two regions are named, "$(call quoted,$(REGION))" and $$named, and another region would be another inbox:" >&2; \
	    echo $(call given,ENV)" lives where "$(call quoted,$(SETTINGS))" says, so unset AWS_REGION, AWS_DEFAULT_REGION and REGION," >&2; \
	    echo "or name another ENV" >&2; exit 1; }; done
	@command -v $(TERRAFORM) >/dev/null || { \
	  echo "terraform is missing: install 1.11 or later, or name one with TERRAFORM=" >&2; exit 1; }
	@$(TERRAFORM) version -json 2>/dev/null | tr -d ' \n' | grep -Eq '"terraform_version":"(1\.(1[1-9]|[2-9][0-9])|[2-9])' || { \
	  echo "$$($(TERRAFORM) version | head -1) is too old: 1.11 or later is needed; name one with TERRAFORM=" >&2; exit 1; }
	@[ -f infra/backend.hcl ] || { \
	  echo "infra/backend.hcl is missing: it says in which S3 bucket Terraform keeps its state." >&2; \
	  echo "Copy infra/backend.hcl.example to it and name a bucket of yours" >&2; exit 1; }
	@if command -v $(AWS) >/dev/null; then \
	  said=$$($(AWS) sts get-caller-identity --region '$(REGION)' --query Account --output text 2>&1) || { \
	    echo "AWS does not know who you are: $$(printf '%s' "$$said" | tr -s '\n' ' ')" >&2; \
	    echo "log in (\`aws sso login\`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its like" >&2; exit 1; }; \
	  account='$(call setting,account_id)'; \
	  [ "$${account:-$$said}" = "$$said" ] || { \
	    echo "your credentials are of account $$said, and $(ENV) lives in $$account ($(SETTINGS))" >&2; exit 1; }; \
	  echo "$(ENV): account $$said, region $(REGION)" >&2; \
	elif [ -z "$$AWS_PROFILE$$AWS_ACCESS_KEY_ID$$AWS_WEB_IDENTITY_TOKEN_FILE$$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" ] \
	    && [ ! -f "$$HOME/.aws/credentials" ] && [ ! -f "$$HOME/.aws/config" ]; then \
	  echo "no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its like" >&2; exit 1; \
	else echo "$(ENV): region $(REGION); no AWS CLI is here to tell the account" >&2; fi

# Terraform reads the packages even to destroy what was made of them.
packed:
	@for function in receiver processor sweeper; do [ -f $(call quoted,$(PACKAGES))/$$function.zip ] || { \
	  echo $(call quoted,$(PACKAGES))"/$$function.zip is missing: run \`make package ARCH="$(call given,ARCH)"\`" >&2; exit 1; }; done

initialised:
	@mkdir -p $(call quoted,$(TF_FOLDER))
	@$(TF) init -input=false -backend-config=backend.hcl \
	  -backend-config=$(call quoted,key=webhook-inbox/$(REGION)/$(value ENV).tfstate) \
	  >$(call quoted,$(TF_FOLDER)/init.log) || { cat $(call quoted,$(TF_FOLDER)/init.log) >&2; exit 1; }

model: ## explore the protocol in all its worlds, large ones too; SECONDS=600 ends it
	@$(CARGO) build --locked --quiet --workspace
	@$(or $(CARGO_TARGET_DIR),target)/debug/model --seconds $(call quoted,$(or $(value SECONDS),600))

fmt: ## format the code
	@$(CARGO) fmt --all

clean: ## remove what was built, installed and logged
	@$(CARGO) clean --quiet
	@rm -rf .local

# Packaging, and what can be known of infra/ without an AWS account.
PACKAGE_TOOLS := .local/package-tools
CHECKOV := .local/checkov
PARLIAMENT := .local/parliament
# Of the oldest AWS provider that infra/ allows (6.40.0) and of the newest (6.66.0).
PROVIDER_OLDEST := @cdktn/provider-aws@23.7.0
PROVIDER_NEWEST := @cdktn/provider-aws@25.7.0
NODE ?= node
NPM ?= npm
# Those that this machine can run, whatever is deployed.
OWN_PACKAGES = $(CURDIR)/.local/package/$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

package: $(PACKAGE_TOOLS)/.stamp ## build the functions' zips for Lambda: ARCH=arm64 or x86_64; the same source gives the same bytes
	@ARCH=$(call given,ARCH) infra/package/build.sh $(call quoted,$(PACKAGES))

package-test: setup build ## run the packages of this machine's own architecture, as package left them
	@INBOX_PACKAGES=$(call quoted,$(OWN_PACKAGES)) $(CARGO) test --locked --quiet --workspace --test suite -- \
	  --ignored packages::

infra-check: $(CHECKOV)/.stamp $(PARLIAMENT)/.stamp ## check infra/: format, provider's schemas, rules, policies by parliament, checkov
	@if command -v $(TERRAFORM) >/dev/null; then echo "… checking the format"; \
	  $(TERRAFORM) fmt -check -diff -recursive infra; \
	else echo "SKIPPED: terraform is not installed, so the format of infra/ is not checked" >&2; fi
	@echo "… holding infra/ against the provider's schemas and our rules, and its policies against parliament"
	@PARLIAMENT='$(CURDIR)/$(PARLIAMENT)/bin/parliament' $(CARGO) test --locked --quiet --workspace --test infra -- --include-ignored
	@echo "… checkov"
	@$(CHECKOV)/bin/checkov --directory infra --framework terraform --quiet --compact \
	  --skip-download --skip-path '\.terraform'
	@echo "infra/ holds"

infra-apply: setup build ## make plan, deploy and destroy by a real provider against the emulator, IAM on: REQUIRED=1 demands a provider, INFRA= another folder
	@INFRA='$(INFRA)' REQUIRED='$(REQUIRED)' $(VENV)/bin/python tests/infra/apply.py

infra-schema: ## make tests/fixtures/aws_provider_*.json anew, from the npm packages that carry the AWS provider's schema
	@for end in oldest=$(PROVIDER_OLDEST) newest=$(PROVIDER_NEWEST); do \
	  fixture=tests/fixtures/aws_provider_$${end%%=*}.json && \
	  rm -rf .local/schema && mkdir -p .local/schema && \
	  (cd .local/schema && $(NPM) pack --silent "$${end#*=}" >/dev/null && tar xzf *.tgz) && \
	  $(NODE) tests/infra/extract_schema.mjs .local/schema/package infra $$fixture && \
	  echo "$$fixture is of $${end#*=}" || exit 1; done
	@rm -rf .local/schema

# Subscribers that the tests and the demo run, and that a team may start from.
EXAMPLES := .local/examples
EXAMPLE_SOURCES := infra/modules/inbox/examples
TYPESCRIPT := $(EXAMPLE_SOURCES)/invoke-typescript

.PHONY: examples
examples: $(EXAMPLES)/publish-python.zip $(EXAMPLES)/invoke-typescript.zip ## build the example subscribers into .local/examples/

$(EXAMPLES)/publish-python.zip: $(EXAMPLE_SOURCES)/publish-python/subscriber.py infra/package/zip.py
	@mkdir -p $(EXAMPLES)
	@$(PYTHON) infra/package/zip.py $< $@ subscriber.py

$(EXAMPLES)/invoke-typescript.zip: $(EXAMPLES)/invoke-typescript/dist/index.js infra/package/zip.py
	@$(PYTHON) infra/package/zip.py $< $@ index.js

# A copy is built, so that nothing is installed beside the sources.
$(EXAMPLES)/invoke-typescript/dist/index.js: $(EXAMPLES)/invoke-typescript/.stamp $(wildcard $(TYPESCRIPT)/src/*.ts) $(TYPESCRIPT)/tsconfig.json
	@rm -rf $(@D) $(EXAMPLES)/invoke-typescript/src && cp -R $(TYPESCRIPT)/src $(TYPESCRIPT)/tsconfig.json $(EXAMPLES)/invoke-typescript/
	@cd $(EXAMPLES)/invoke-typescript && $(NPM) run --silent build

$(EXAMPLES)/invoke-typescript/.stamp: $(TYPESCRIPT)/package.json $(TYPESCRIPT)/package-lock.json
	@command -v $(NODE) >/dev/null && command -v $(NPM) >/dev/null || { \
	  echo "node or npm is missing: install Node.js 20 or later, or name them with NODE= and NPM=" >&2; exit 1; }
	@echo "… installing TypeScript and esbuild into $(@D)"
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)/
	@cd $(@D) && $(NPM) ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

# Stamps are written last, so that an installation that broke off starts over.
$(PACKAGE_TOOLS)/.stamp: infra/package/requirements.txt
	@echo "… installing cargo-lambda and zig into $(PACKAGE_TOOLS)"
	@rm -rf $(PACKAGE_TOOLS) && $(PYTHON) -m venv $(PACKAGE_TOOLS)
	@$(PACKAGE_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

$(CHECKOV)/.stamp $(PARLIAMENT)/.stamp: .local/%/.stamp: tests/infra/%.txt
	@echo "… installing $* into $(@D)"
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

# What is pinned by hand stands in *.in; *.txt names each file of each package by its hash,
# for every platform. checkov and parliament bring along what they need.
UV := 0.13.9
PINS := infra/package/requirements tests/local/requirements tests/infra/checkov tests/infra/parliament
.PHONY: pins
pins: ## make the lists of pinned Python packages anew, hashes and all, after a change of a *.in
	@rm -rf .local/pins && $(PYTHON) -m venv .local/pins
	@.local/pins/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@for list in $(PINS); do echo "… $$list.txt"; \
	  case $$list in tests/infra/*) along= ;; *) along=--no-deps ;; esac; \
	  UV_CUSTOM_COMPILE_COMMAND='make pins' .local/pins/bin/uv pip compile --quiet --universal $$along \
	    --generate-hashes --no-annotate --python-version 3.10 --output-file $$list.txt $$list.in || exit 1; done

# Fuzzing and the audit of what is compiled in. Both bring their tools, pinned, into
# .local/; neither belongs to `make test`.
CARGO_TOOLS := .local/cargo-tools
CARGO_FUZZ := 0.13.2
CARGO_DENY := 0.20.2
FUZZ_TOOLCHAIN ?= nightly
FUZZ_SECONDS ?= 30
FUZZ_WORK := $(CURDIR)/.local/fuzz
DENY = PATH='$(CURDIR)/$(CARGO_TOOLS)/bin':"$$PATH" $(CARGO) deny --locked --log-level error
ADVISORIES := .local/advisories.log

.PHONY: fuzz audit

fuzz: $(CARGO_TOOLS)/bin/cargo-fuzz-$(CARGO_FUZZ) ## fuzz everything that reads what others send: FUZZ_SECONDS=30 for each target, TARGETS='verify item', FUZZ_SEED=
	@rustc +$(call given,FUZZ_TOOLCHAIN) --version >/dev/null 2>&1 || { \
	  echo "libFuzzer needs a nightly toolchain: rustup toolchain install nightly, or name one with FUZZ_TOOLCHAIN=" >&2; exit 1; }
	@echo "… compiling the targets (the first time takes some ten minutes)"
	@$(CARGO) fetch --locked --quiet --manifest-path tests/fuzz/Cargo.toml
	@RUSTUP_TOOLCHAIN=$(call given,FUZZ_TOOLCHAIN) PATH="$(CURDIR)/$(CARGO_TOOLS)/bin:$$PATH" \
	  $(CARGO) fuzz build --fuzz-dir tests/fuzz --sanitizer none --target-dir $(FUZZ_WORK)/target 2>$(FUZZ_WORK).log \
	  || { tail -40 $(FUZZ_WORK).log >&2; exit 1; }
	@FUZZ_SECONDS=$(call given,FUZZ_SECONDS) FUZZ_SEED=$(call given,FUZZ_SEED) tests/fuzz/run.sh \
	  $$(echo $(FUZZ_WORK)/target/*/release) $(FUZZ_WORK) $(TARGETS)

audit: $(CARGO_TOOLS)/bin/cargo-deny-$(CARGO_DENY) ## check licences, sources and known vulnerabilities of everything that is compiled in
	@$(DENY) check licenses bans sources
	@if $(DENY) fetch db 2>$(ADVISORIES); then $(DENY) check advisories; else \
	  echo "SKIPPED: advisories are not checked, since RustSec's database cannot be had here:" >&2; \
	  grep -m1 fatal $(ADVISORIES) >&2 || cat $(ADVISORIES) >&2; fi

# The version is part of the name, so that another one is installed when it changes.
$(CARGO_TOOLS)/bin/cargo-%:
	@tool=$*; name=cargo-$${tool%-*}; version=$${tool##*-}; \
	  echo "… installing $$name $$version into $(CARGO_TOOLS)"; \
	  $(CARGO) install --locked --quiet --force --root $(CARGO_TOOLS) --version $$version $$name
	@touch $@
