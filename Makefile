# make setup | demo [DURATION=600] [SEED=0] | test | test-quick | docs | reference | clean
PYTHON ?= python3
DURATION ?= 600
SEED ?= 0
# Parts of the tests that say much in little time; see test/test_<part>_<what>.py.
QUICK = architecture config control images robots replay_store replay_samplers replay_ingest replay_outbox \
  package_docs package_reference package_reasons package_habits package_cli

.PHONY: setup demo test test-quick docs reference clean

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	@.venv/bin/jsac-ros run config/ur5_reacher_demo.yaml --duration $(DURATION) run.seed=$(SEED) --open

test: setup
	@.venv/bin/python tools/run_tests.py

test-quick: setup
	@.venv/bin/python -m pytest -q $(foreach part,$(QUICK),$(sort $(wildcard test/test_$(part)*.py)))

docs: setup
	@.venv/bin/python -m pip --disable-pip-version-check install -q -r requirements/docs.txt -c requirements/constraints.txt
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet && echo "docs: build/site/index.html"

reference: setup
	@.venv/bin/python tools/write_reference.py

clean:
	rm -rf build install log
