# Everything runs in .venv, which is made when it is missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: quickstart test test-long bench lint format docs notebooks clean

$(VENV)/.installed: setup.py
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"rlvr_jax needs Python 3.11 or newer, {sys.executable} is {v.major}.{v.minor}; call make with PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --no-compile --editable '.[docs,envs,language,test,verify]'
	touch $@

quickstart: $(VENV)/.installed
	$(RUN) -m experiments.compare --config=configs/quickstart.py \
	  --methods=grpo,steer,aepo --seeds=0 --workdir=runs/quickstart \
	  --title='Entropy collapses, or is held'

test: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) -m pytest -q -n 2 --dist loadgroup tests

test-long: $(VENV)/.installed
	$(RUN) -m pytest -q -n 2 --dist loadgroup -m long tests

bench: $(VENV)/.installed
	$(RUN) -m experiments.bench_sampler

docs: $(VENV)/.installed
	$(RUN) -m experiments.write_tables
	$(RUN) -m sphinx -W --keep-going -q -d build/docs docs build/site
	@echo build/site/index.html

notebooks: $(VENV)/.installed
	$(RUN) -m experiments.run_notebooks

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .

format: $(VENV)/.installed
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info
