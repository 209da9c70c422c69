# Everything a contributor does. Each target sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export KRITA_ROOT

.PHONY: help setup demo test check format bench quality krita screenshots pictures test-krita train-embedded eval-embedded clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 18

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

setup: $(STAMP) ## install everything into .venv

demo: $(STAMP) ## paint a red boat into a picture, without Krita; writes out/demo
	$(BIN)/krita-bridge demo --out out/demo

test: $(STAMP) ## every test that this machine can run
	$(BIN)/python -m pytest

check: $(STAMP) ## format, lint, types and the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m 'not krita and not slow' tests/unit tests/property

format: $(STAMP) ## let ruff format and mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure; prints, and writes out/bench.json
	$(BIN)/python -m tests.bench --json out/bench.json

quality: $(STAMP) ## run the oracles and write their figures into docs/quality.md
	$(BIN)/python -m tests.quality

krita: $(STAMP) ## open Krita with the plugin, in a throwaway profile
	$(BIN)/python -m tests.krita.try_it

screenshots: $(STAMP) ## take docs/images anew, in a real Krita
	$(BIN)/python -m tests.krita.screenshots

pictures: $(STAMP) ## paint the picture of docs/modes.md anew
	$(BIN)/python -m tests.pictures docs/images/modes.webp

test-krita: $(STAMP) ## the Krita suite; KRITA_ROOT=DIR runs it against the Krita in that chroot
	KRITA_BRIDGE_REQUIRE_KRITA=1 $(BIN)/python -m pytest tests/krita

train-embedded: $(STAMP) ## make the embedded model anew: hours on a CPU; can be stopped and goes on
	$(BIN)/python -m bridge.models.training all

eval-embedded: $(STAMP) ## measure the embedded model with an independent judge
	$(BIN)/python -m bridge.models.training evaluate

clean: ## remove what was made, .venv included
	rm -rf .venv .cache out build dist
