# Everything a developer needs: `make run` to see it work, `make test` to check it all.
# Both make one virtual environment in .venv, in which the second installs what checks; nothing else of
# the machine is changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STAMP := $(VENV)/.installed
DOCS := $(VENV)/docs/.installed
WALLS := $(VENV)/walls/.installed
RELEASE := $(VENV)/release
ADDRESS ?= localhost
PORT ?= 7000
# Tests wait now and then, so there is one more than processors.
JOBS ?= $(shell expr 1 + $$(nproc))
TESTS ?= tests/unit
FUZZ_SECONDS ?= 600
# Tests of what holds programs that are about another system, another build, or another program's tests:
# they make or bring along what they hold with; and of the level at which nothing is held.
ELSEWHERE := debian13 musl sanitized suites relay_level
# Tests of the contract of workers that are about what the master decides, whatever holds a program.
DECIDED := listener_options silence_limits strategies

# Tests and package are compiled once, not by each process that tests, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: fleet run test coverage lint types walls docs tables explained pictures unit process sanitized plain fuzz coverage-native bench bench-docs bench-plans dist check-dist deb check-deb clean

run: $(READY)
	@echo "An echo service on $(ADDRESS) port $(PORT). Talk to it from another terminal:"
	@echo "    echo hello | nc -N $(ADDRESS) $(PORT)"
	@echo "or  echo hello | $(BIN)/python examples/client.py $(ADDRESS) $(PORT)"
	@echo "Stop it with Ctrl-C."
	$(BIN)/socket -p "cat" -l -f -W 4 -B $(ADDRESS) -v -s $(PORT)

test: lint types walls
	$(BIN)/pytest -n $(JOBS) --dist worksteal

# The unit tests alone have to take every branch of what is pure, and of the board: those that do the
# same each time, so not the properties, whose examples are random.
# `make coverage TESTS=tests` looks at all tests and all processes, which takes long.
coverage: $(STAMP)
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/coverage erase
	COVERAGE_FILE=$(CURDIR)/.coverage COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml \
	    $(BIN)/coverage run -m pytest $(TESTS) -m "not hypothesis" \
	    -n $(JOBS) --dist worksteal
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/coverage combine --quiet
	rm -f .coverage.*  # half-written by processes that a test has killed
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/coverage report --skip-covered
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/coverage report --fail-under=100 --format=total \
	    --include='socketd/pool/*,socketd/loop/wheel.py,socketd/workers/board.py,socketd/workers/layout.py'

bench: $(STAMP)
	$(BIN)/python -m bench run --output bench-results.json

# What docs/strategies.md shows: tables and pictures of simulations, and on stdout plans beside real runs.
bench-plans: $(STAMP)
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m bench plans --into docs/strategies.md --images docs/images
	$(BIN)/python -m bench agree

bench-docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m bench report bench-results.json --into docs/performance.md
	$(BIN)/python -m bench plot bench-results.json --into docs/images

fleet: $(STAMP)  # needs root, for network namespaces
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m bench fleet --into docs/images/fleet.svg

lint: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(STAMP)
	$(BIN)/mypy

walls: $(WALLS)
	$(BIN)/lint-imports

# The documents as a site, in build/docs; what is wrong in one, as a link that leads nowhere, is an error.
docs: $(DOCS)
	PYTHONPATH=. $(VENV)/docs/bin/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

# The tables of settings and options in the documents.
tables: $(STAMP)
	PYTHONPATH=. $(BIN)/python docs/tables.py

# The table of real programs in docs/templates.md, from what `socketd explain` says on this machine.
explained: $(STAMP)
	$(BIN)/python docs/explained.py

# The pictures in docs/images: of the page by a browser, of `socketd top` by what it draws with.
pictures: $(STAMP)
	PYTHONPATH=.:tests $(BIN)/python -m metrics.pictures docs/images
	PYTHONPATH=.:tests $(BIN)/python -m control.pictures docs/images

unit: $(STAMP)
	$(BIN)/pytest tests/unit

process: $(STAMP)
	$(BIN)/pytest tests/process

# What is in a copy, made with none of the shortcuts of page tables and loader.
COPIES := atfork c_programs canary crashes hold_ends interpreters isolation life locks plain programs python \
    shared_descriptors shared_files stop_level threads traces
plain: $(STAMP)
	SOCKETD_PLAIN=1 $(BIN)/pytest $(COPIES:%=tests/held/test_%.py) -n $(JOBS) --dist worksteal

# What holds programs, under the address sanitizer: the tests of it, and the contract of workers.
# Tests that start no server with it are left out.
sanitized: $(STAMP)
	SOCKETD_SANITIZE_HOLD=1 $(BIN)/pytest tests/held tests/fcgi/test_front.py tests/process \
	    $(ELSEWHERE:%=--ignore=tests/held/test_%.py) $(DECIDED:%=--ignore=tests/process/test_%.py) \
	    -o faulthandler_timeout=240 -n $(JOBS) --dist worksteal

# Which lines of native/ the corpora of the fuzzers and the tests of its products reach.
coverage-native: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m native_coverage --jobs $(JOBS) --html

# All fuzzers one after another, each for so many seconds, or those that FUZZERS names.
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --group fuzz
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS) $(FUZZERS)

# What `make run` needs: the package, and what builds it. A pip of its own comes with the rest.
$(READY): pyproject.toml hatch_build.py native_build.py $(wildcard native/*.c native/*.h native/*/*.[ch] native/flags native/hold/flags native/hold/linkage)
	test -e $@ -o -e $(STAMP) || rm -rf $(VENV)  # what an interrupted run has left
	$(PYTHON) -m release.checkout $(VENV)
	touch $@

# Not made anew for what has only to be compiled again.
$(STAMP): pyproject.toml | $(READY)
	$(PYTHON) release/environment.py $(VENV) --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

# The linter is where it has always been; the rest of its environment is out of everybody's way.
$(WALLS): $(STAMP)
	$(PYTHON) -m venv $(VENV)/walls
	$(BIN)/python -m pip --python $(VENV)/walls install --quiet --group walls
	ln -sf ../walls/bin/lint-imports $(BIN)/lint-imports
	touch $@

# A release, in dist/: an sdist, and wheels for every libc and processor.
dist: $(RELEASE)/.installed
	$(RELEASE)/bin/python -m release.wheels

check-dist: dist
	$(RELEASE)/bin/python -m release.check

# The package of Debian 13, in dist/deb, made in a tree of that: needs root and debootstrap.
deb: $(STAMP)
	$(BIN)/python -m release.deb

check-deb: deb
	$(BIN)/python -m release.deb_check

$(RELEASE)/.installed: pyproject.toml | $(STAMP)
	$(PYTHON) -m venv --without-pip $(RELEASE)
	$(BIN)/python -m pip --python $(RELEASE) install --quiet --group release pip
	touch $@

$(DOCS): $(STAMP)
	$(PYTHON) -m venv $(VENV)/docs
	$(BIN)/python -m pip --python $(VENV)/docs install --quiet --group docs
	touch $@

clean:
	rm -rf $(VENV) build dist .fuzz .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
