# Needs Python 3.11 and nothing else. PORT HOST WEB_WORKERS AWFDRS_DATA AWFDRS_DEMO reach `run`
# from the environment.
BASE_PYTHON ?= $(shell command -v python3.11 || command -v python3)
INSTALLED := .venv/installed
PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --no-input --quiet

# Checks and tests make servers of their own; whatever the caller's shell points at is left alone.
ALONE := env -u DATABASE_URL -u DATABASE_OWNER_URL -u REDIS_URL -u SECRET_KEY -u ENCRYPTION_KEY \
	-u ALLOWED_HOSTS -u DEBUG -u INGEST_LANE -u PORT -u HOST -u WEB_WORKERS -u AWFDRS_DEMO -u OUTBOUND_ALLOW_CIDRS
PRODUCTION := SECRET_KEY=of-no-use-anywhere-but-in-this-check-0123456789-abcdefghij \
	ENCRYPTION_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= \
	DATABASE_URL=postgresql://awf_login:none@127.0.0.1:1/awfdrs \
	DATABASE_OWNER_URL=postgresql://postgres:none@127.0.0.1:1/awfdrs \
	REDIS_URL=redis://127.0.0.1:1/0 ALLOWED_HOSTS=awfdrs.example.org PUBLIC_URL=https://awfdrs.example.org

# make hands a SIGTERM on to what it runs, but sits on a SIGINT or SIGHUP sent to make alone, and a
# killed make tells nobody. Linux shows which signals a process catches, and make stops catching the
# one that ends it: then the watcher ends the server. Without /proc there is no watcher.
WATCH := make=$$PPID server=$$$$; catches() { grep '^SigCgt' /proc/$$make/status 2>/dev/null; }; \
	if caught=$$(catches); then \
		( ( while [ "$$(catches)" = "$$caught" ] && kill -0 $$server; do sleep 0.5; done; \
			kill -TERM $$server ) </dev/null >/dev/null 2>&1 & ); \
	fi

.PHONY: help run dev test check fmt browsers faults-small faults bench bench-grouping bench-digest bench-console bench-actions bench-analysis bench-walls bench-scale bench-browser bench-bulk mutants browser checkers faketime pgbouncer screens
.DEFAULT_GOAL := help

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

run: $(INSTALLED) ## the whole product with a demo tenant and a simulated outage; Ctrl-C stops it
	@$(WATCH); exec $(PYTHON) manage.py up

dev: $(INSTALLED) ## the same with DEBUG=true
	@$(WATCH); DEBUG=true exec $(PYTHON) manage.py up

# Branch coverage by rewritten bytecode: a trace function would make the tests take half as long again.
test: $(INSTALLED) browser checkers ## the tests and the coverage floors, one browser and one worker included; ARGS="-k name" chooses among all
	@$(ALONE) $(PYTHON) -m $(if $(ARGS),pytest -n auto $(ARGS),tests.measured -n auto -m "smoke or not (faults or browser)")

browsers: $(INSTALLED) browser ## every test in a browser; ARGS="-k name" chooses
	@$(ALONE) $(PYTHON) -m pytest -n auto -m browser $(ARGS)

faults-small: $(INSTALLED) pgbouncer ## workers killed, servers away, `make run` from nothing, each a few times; ARGS="-k name" chooses
	@AWFDRS_FAULT_SIZE=small $(ALONE) $(PYTHON) -m pytest -n auto -m faults $(ARGS)

faults: $(INSTALLED) faketime pgbouncer ## the same as often as promised, alone on the machine, minutes long; ARGS="-k name" chooses
	@AWFDRS_FAULT_SIZE=full $(ALONE) $(PYTHON) -m pytest tests -m faults $(ARGS)

check: $(INSTALLED) ## format, lint, types, layers, templates, deploy checks, migrations
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/djlint templates --lint --quiet
	$(PYTHON) -m tests.architecture.migration_rules
	@echo "manage.py check --deploy, as in production"
	@$(ALONE) $(PRODUCTION) $(PYTHON) manage.py check --deploy --fail-level WARNING
	@set -e; scratch=$$(mktemp -d); chmod 755 $$scratch; export AWFDRS_DATA=$$scratch; \
	trap '$(ALONE) $(PYTHON) -m awfdrs_site.embedded remove $$scratch' EXIT; trap 'exit 130' INT TERM; \
	$(ALONE) $(PYTHON) -m awfdrs_site.embedded start $$scratch >/dev/null; \
	echo "manage.py migrate, on an empty database"; \
	$(ALONE) $(PYTHON) manage.py migrate --no-input --verbosity 0; \
	$(ALONE) $(PYTHON) -m tests.migrated; \
	echo "manage.py makemigrations --check --dry-run"; \
	$(ALONE) $(PYTHON) manage.py makemigrations --check --dry-run

fmt: $(INSTALLED) ## format and mend what ruff can; templates stay as they are written
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: $(INSTALLED) wrk ## events a second at every door, beside pgbench and a plain view; ARGS="--seconds 8 --rounds 3"
	@$(ALONE) $(PYTHON) -m tests.bench.ingest $(ARGS)

bench-grouping: $(INSTALLED) ## how well real logs are grouped, beside plain masking; LOGHUB=directory
	@$(ALONE) LOGHUB="$(LOGHUB)" $(PYTHON) -m tests.bench.grouping

bench-digest: $(INSTALLED) ## events a second from the inbox to incidents; ARGS="--profile" says where the time goes
	@$(ALONE) $(PYTHON) -m tests.bench.digest $(ARGS)

bench-console: $(INSTALLED) ## lists, details, moves at a million events; ARGS="--plans" shows what is slow
	@$(ALONE) $(PYTHON) -m tests.bench.console $(ARGS)

bench-analysis: $(INSTALLED) ## causes named of generated outages, categories of labelled failures, and what they cost
	@$(ALONE) $(PYTHON) -m tests.bench.analysis $(ARGS)
	@$(ALONE) FAILURES="$(FAILURES)" $(PYTHON) -m tests.bench.labels

bench-actions: $(INSTALLED) ## a thousand retries due at once, and what a claim costs beside many that wait
	@$(ALONE) $(PYTHON) -m tests.bench.actions $(ARGS)

bench-bulk: $(INSTALLED) ## ten thousand incidents resolved by one job, and taken back exactly
	@$(ALONE) $(PYTHON) -m tests.bench.bulk $(ARGS)

bench-walls: $(INSTALLED) ## what row-level security costs hot reads, beside the same reads without it
	@$(ALONE) $(PYTHON) -m tests.bench.walls $(ARGS)

bench-scale: $(INSTALLED) ## two web processes, three workers and PgBouncer, and what an event costs each; ARGS="--events 5000"
	@$(ALONE) $(PYTHON) -m tests.bench.scale $(ARGS)

bench-browser: $(INSTALLED) browser ## the console in chromium: paint, keys, live rows, a storm, a server that came back; a thousand sockets
	@$(ALONE) $(PYTHON) -m tests.bench.browser $(ARGS)
	@$(ALONE) $(PYTHON) -m tests.bench.sockets

mutants: $(INSTALLED) ## the product broken on purpose in a copy of the tree: the tests have to notice, minutes long
	@$(ALONE) $(PYTHON) -m tests.security.mutants $(ARGS)

screens: $(INSTALLED) browser ## a picture of every page, light and dark, wide and narrow, into docs/screens
	@$(ALONE) $(PYTHON) -m tests.browser.screens $(ARGS)

# Debian may ship Python without ensurepip: then the system's pip fills the new environment.
$(INSTALLED): requirements.txt requirements-tracing.txt requirements-dev.txt
	@$(BASE_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "AWFDRS needs Python 3.11; BASE_PYTHON=/path/to/python3.11 names one."; exit 1; }
	@echo "installing into .venv: a few minutes the first time"
	@$(BASE_PYTHON) -m venv .venv >/dev/null 2>&1 || { $(BASE_PYTHON) -m venv --clear --without-pip .venv \
		&& $(BASE_PYTHON) -m pip --python $(PYTHON) install --quiet pip; }
	@$(PIP) install -r requirements-dev.txt
	@touch $@

# Without one the browser tests skip, by name and with the reason. The shell is chromium without windows.
browser:
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null \
		|| [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
		|| { apt-get update -qq && export DEBIAN_FRONTEND=noninteractive && \
			{ apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null 2>&1 \
			|| apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; } \
		|| echo "chromium could not be installed: browser tests will be skipped"

# Without it the cells of the outage table whose clock is wrong skip, by name and with the reason.
faketime:
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
		|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime >/dev/null; } \
		|| echo "faketime could not be installed: tests of a wrong clock will be skipped"

# Without it the tests of the walls behind PgBouncer skip, by name and with the reason.
pgbouncer:
	@command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
		|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null; } \
		|| echo "pgbouncer could not be installed: tests behind it will be skipped"

# Debian's checkers of what is deployed, taken out of their packages: nothing is installed, and no service starts.
# Without them those tests skip, by name and with the reason.
checkers: $(INSTALLED)
	@[ -d .venv/checkers ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
		|| { apt-get update -qq && packages=$$(mktemp -d) && trap 'rm -rf $$packages' EXIT && mkdir $$packages/out && \
			( cd $$packages && for name in prometheus kubernetes-client docker-compose; do \
				apt-get download -qq $$name >/dev/null 2>&1; done; \
			for package in *.deb; do dpkg-deb --fsys-tarfile $$package | tar -x -C out --wildcards \
				--transform 's,.*/,,' '*/bin/promtool' '*/bin/kubectl' '*/compose_spec.json' 2>/dev/null; done; \
			ls out | grep -q . ) && mv $$packages/out .venv/checkers; } \
		|| echo "checkers could not be fetched: tests of what is deployed will be skipped"

# Debian's load generator; without it `make bench` says what is missing.
wrk:
	@command -v wrk >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
		|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk >/dev/null; } \
		|| true
