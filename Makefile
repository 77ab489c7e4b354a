# Every target sets up what it needs: a virtual environment in .venv, npm packages below infra/local.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# PostgREST has no build for Apple silicon, which runs the one for Intel.
NPM_PLATFORM := $(if $(filter Darwin,$(shell uname -s)),--cpu=x64)
NPM := infra/local/node_modules/.package-lock.json
CLIENT := infra/client/node_modules/.package-lock.json
DEPLOY := infra/deploy/node_modules/.package-lock.json
WEB := infra/local/web/dist/index.html
WEB_PACKAGES := infra/local/web/node_modules/.package-lock.json

.PHONY: demo up status reset logs test browser check audit format bench day costs simulate load fuzz chaos contract package invoke env secrets deploy urls smoke migrate openapi web lock clean help

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: $(INSTALLED) $(NPM) ## Store a storyboard, read it back, make a video of it (IMAGES=folder for your own images)
	@$(RUN) -m infra.local demo

up: $(INSTALLED) $(NPM) $(WEB) ## Run the whole stack until Ctrl-C (PORT=8787 STATE=.local)
	@$(RUN) -m infra.local up

status reset: $(INSTALLED) ## Say whether the stack runs; delete all that it has stored
	@$(RUN) -m infra.local $@

logs: $(INSTALLED) ## Show what the functions logged about a request (ID=requestId)
	@$(RUN) -m infra.local logs $(if $(ID),--request-id "$(ID)") $(ARGS)

test: $(INSTALLED) $(NPM) $(CLIENT) $(DEPLOY) $(WEB) browser ## Run all tests (ARGS="-k name")
	$(RUN) -m pytest -n 2 $(ARGS)

browser: ## Install Chromium for the browser tests, where it is missing and this is Debian's root
	@if { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium …"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qq --yes --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else echo "Chromium is missing: the browser tests are skipped until you install it."; fi

check: $(INSTALLED) ## Format, lint and types
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

audit: $(INSTALLED) ## Ask for known vulnerabilities in all packages, where the databases can be reached
	@$(RUN) -m uv pip install --quiet --python $(RUN) --group audit
	@$(RUN) -m infra.audit

format: $(INSTALLED) ## Format, and mend what the linter can mend
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

bench: $(INSTALLED) $(NPM) ## Measure, as ratios within one run, into build/bench.md and build/bench.json (SECTIONS="images clips")
	@$(RUN) -m infra.local.bench $(SECTIONS)

day: $(INSTALLED) $(NPM) ## Simulate a day of traffic and recount every figure of it (REQUESTS=10000 VIDEOS=50 PAGE=file)
	@$(RUN) -m infra.local day

costs: $(INSTALLED) ## Print what a month's work costs, as the README has it
	@$(RUN) -m infra.local costs

simulate: $(INSTALLED) $(NPM) ## Simulate a deployment under 1, 100 and 10,000 storyboards a minute
	@$(RUN) -m infra.local.simulation

fuzz: $(INSTALLED) ## Feed damaged files to all that decodes images and media (SECONDS=120)
	@$(RUN) -m infra.local.fuzz

load: $(INSTALLED) $(NPM) ## Let more and more people work at once, and check all that they were promised (SECONDS=20)
	@$(RUN) -m uv pip install --quiet --python $(RUN) --group load
	@$(RUN) -m infra.local.traffic.load

chaos: $(INSTALLED) $(NPM) ## Let people work while one thing after the other fails beneath them (SECONDS=600)
	@$(RUN) -m pytest -q -rs tests/chaos/test_traffic_under_faults.py tests/chaos/test_full_disk.py tests/chaos/test_clock_skew.py

contract: $(INSTALLED) $(NPM) ## Ask the functions all that their OpenAPI document allows, and what it does not (SECONDS=300)
	@$(RUN) -m infra.local.contract_fuzz

package: $(INSTALLED) ## Build each function's artifact in build/ (ARCH=x86_64 or arm64, FUNCTIONS="a b")
	@ARCH="$(ARCH)" $(RUN) -m infra.package $(FUNCTIONS)

invoke: $(INSTALLED) ## Run one handler by hand (FUNCTION=upload_image EVENT=tests/events/upload_image.json)
	@$(RUN) -m infra.local invoke $(FUNCTION) $(EVENT)

env: $(INSTALLED) ## Print the running stack's environment, for `eval "$$(make -s env)"`
	@$(RUN) -m infra.local env

secrets: $(INSTALLED) ## Say which secrets a stage still lacks in SSM (STAGE=dev)
	@$(RUN) -m infra.deploy check --stage "$(STAGE)"

deploy: $(INSTALLED) $(DEPLOY) ## Deploy to AWS: check the secrets, build the artifacts, deploy, print the URLs (STAGE=dev)
	@$(RUN) -m infra.deploy check --stage "$(STAGE)"
	@ARCH="$(ARCH)" $(RUN) -m infra.package
	@$(RUN) -m infra.deploy deploy --stage "$(STAGE)"

urls: $(INSTALLED) ## Read the function URLs of a deployed stage again (STAGE=dev)
	@$(RUN) -m infra.deploy urls --stage "$(STAGE)"

smoke: $(INSTALLED) ## Try a deployment, and delete what that made (API_URL=https://… or build/urls-dev.json)
	@$(RUN) -m infra.deploy.smoke "$(API_URL)"

migrate: $(INSTALLED) ## Apply the schema and storage policies to a Supabase project (DATABASE_URL=postgresql://…)
	@DATABASE_URL="$(DATABASE_URL)" $(RUN) -m infra.migrate

openapi: $(INSTALLED) $(CLIENT) ## Write infra/openapi.json and the TypeScript client's types anew from the functions' code
	@$(RUN) -m infra.openapi
	@npm run --silent --prefix infra/client generate

web: $(WEB) ## Build the playground's files in infra/local/web/dist

lock: $(INSTALLED) ## Resolve pyproject.toml into requirements.txt anew
	$(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip compile pyproject.toml --group local --group dev --universal --python-version 3.11 \
	  --no-annotate --no-header --upgrade --output-file requirements.txt

clean: ## Remove what the targets above have made, but for the state folder
	rm -rf $(VENV) infra/*/node_modules infra/local/web/node_modules infra/local/web/dist build

$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@test -x $(RUN) || { echo "Making a virtual environment …"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing Python packages …"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

$(NPM): infra/local/package.json infra/local/package-lock.json
	@echo "Installing npm packages …"
	@npm ci --prefix infra/local --no-audit --no-fund --loglevel=error $(NPM_PLATFORM)
	@touch $@

$(CLIENT) $(DEPLOY): infra/%/node_modules/.package-lock.json: infra/%/package.json infra/%/package-lock.json
	@echo "Installing npm packages of infra/$* …"
	@npm ci --prefix infra/$* --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB_PACKAGES): infra/local/web/package.json infra/local/web/package-lock.json
	@echo "Installing npm packages of the playground …"
	@npm ci --prefix infra/local/web --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB): $(WEB_PACKAGES) $(wildcard infra/local/web/*.*) $(shell find infra/local/web/src infra/client/src -type f)
	@echo "Building the playground …"
	@npm run --silent --prefix infra/local/web build -- --logLevel warn
