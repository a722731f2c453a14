# make setup | demo [DURATION=600] [SEED=0] | test | clean
PYTHON ?= python3
DURATION ?= 600
SEED ?= 0

.PHONY: setup demo test clean

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	@.venv/bin/jsac-ros run config/ur5_reacher_demo.yaml --duration $(DURATION) run.seed=$(SEED)

test: setup
	@.venv/bin/python tools/run_tests.py

clean:
	rm -rf build install log
