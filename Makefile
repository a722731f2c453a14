# make setup | demo [TASK=ur5_reacher_demo|lift|...] [DURATION=600] [SEED=0] | test | test-quick | coverage | docs | reference |
#   screenshots | clean
PYTHON ?= python3
DURATION ?= 600
SEED ?= 0
# Any shipped configuration. Skills with a sparse reward get a scripted person's help; joint states at 125 Hz instead of the
# driver's 500 Hz leave more of two cores for the learner.
TASK ?= ur5_reacher_demo
HELPED = person.by=intervener sim.joint_rate_hz=125.0
HELP_lift = $(HELPED)
HELP_insert = $(HELPED)
HELP_push = $(HELPED)
# Parts of the tests with the most coverage per second; see test/test_<part>_<what>.py.
QUICK = architecture config control images robots replay_store replay_samplers replay_ingest replay_outbox \
  package_commands package_docs package_reference package_reasons package_habits package_cli

.PHONY: setup demo test test-quick coverage docs reference screenshots clean

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	@.venv/bin/jsac-ros run $(TASK) --duration $(DURATION) run.seed=$(SEED) $(HELP_$(TASK)) --open

test: setup
	@.venv/bin/python tools/run_tests.py

test-quick: setup
	@.venv/bin/python -m pytest -q $(foreach part,$(QUICK),$(sort $(wildcard test/test_$(part)*.py))) $(COVER)

# The lines that the quick tests run, by file; the page is build/coverage/index.html.
coverage: COVER = --cov=jsac_ros --cov-report=term:skip-covered --cov-report=html:build/coverage
coverage: test-quick

docs: setup
	@.venv/bin/python -m pip --disable-pip-version-check install -q -r requirements/docs.txt -c requirements/constraints.txt
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet && echo "docs: build/site/index.html"

reference: setup
	@.venv/bin/python tools/write_reference.py

screenshots: setup
	@.venv/bin/python tools/take_screenshots.py

clean:
	rm -rf build install log
