# Two commands matter: `make demo` and `make test`. Each makes the virtual environment itself, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing
# pip's own notices are not part of what a newcomer should read
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check check-slow bench docs clean
.PHONY: setup-embed-dirs train-embed train-embed-tb eval-embed infer-embed

demo: $(INSTALLED) ## train, measure and search a model on text that every machine has
	$(BIN)/likewise demo

test: check ## everything that CI runs
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

check: $(DEVELOPING) ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-slow: $(DEVELOPING) ## what takes minutes: more kills, larger sizes
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow

bench: $(DEVELOPING) ## every headline number, with the peer beside it; refreshes docs/benchmarks.md
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/run.py

docs: $(DEVELOPING) ## regenerate the reference from the options
	$(BIN)/likewise schema --markdown > docs/reference/recipe.md

clean: ## remove what was built and run
	rm -rf $(VENV) runs .cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Likewise needs Python 3.11 or newer; $(PYTHON) is older. Name another one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (once; a few minutes)"
	@$(PIP) --editable .
	@touch $@

$(DEVELOPING): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (once; a few minutes)"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(INSTALLED)

# Doors for people with these habits: the recipe is named by RECIPE, the run's folder by RUN.
RECIPE ?= text.toml
RUN ?= runs/text

setup-embed-dirs: $(INSTALLED)
	@mkdir -p runs .cache
	@test -e $(RECIPE) || $(BIN)/likewise init text .

train-embed: setup-embed-dirs
	$(BIN)/likewise run $(RECIPE) --folder $(RUN)

train-embed-tb: setup-embed-dirs
	@$(PIP) --editable '.[tensorboard]'
	$(BIN)/likewise run $(RECIPE) --folder $(RUN) --set 'train.loggers=["tensorboard"]'

eval-embed: $(INSTALLED)
	$(BIN)/likewise evaluate $(RECIPE) --folder $(RUN)

infer-embed: $(INSTALLED)
	$(BIN)/likewise search "$(QUERY)" --run $(RUN)
