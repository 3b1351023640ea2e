# Every target is a command a person could type; `make -n <target>` shows it. The first one sets up
# $(VENV) by itself, and again only when requirements.lock has changed.

ATTR =
ATTRS =
DATA = glyphs
ROOT =
BACKBONE = glyph-clip
PRETRAINED =
DEVICES = auto
DELTA =
SEEDS = 0 1 2
COMMAND = heads
ARGS =
PYTHON =
VENV = .venv

VARIABLES := ATTR ATTRS DATA ROOT BACKBONE PRETRAINED DEVICES DELTA SEEDS COMMAND ARGS PYTHON VENV
ROOMS := datamodules lightning_modules composition interpret
RUN = $(VENV)/bin/python
STAMP = $(VENV)/.installed

# $(call quote,NAME): the value of NAME as one shell word, whatever it holds.
quote = '$(subst ','\'',$(value $(1)))'
# $(call option,--flag,NAME): the flag, if NAME is set.
option = $(if $(strip $(value $(2))), $(1)=$(call quote,$(2)))
WORLD = --data.source=$(call quote,DATA)$(call option,--data.root,ROOT)
MODEL = --model.backbone=$(call quote,BACKBONE)$(call option,--model.pretrained,PRETRAINED)
SOURCE = --source=$(call quote,DATA)$(call option,--root,ROOT)

# A mistyped variable would otherwise be ignored without a word.
UNKNOWN := $(strip $(foreach name,$(filter-out $(VARIABLES),$(.VARIABLES)),\
  $(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(UNKNOWN),)
$(error $(UNKNOWN) is not a variable here: expected one of $(VARIABLES). Example: make train ATTR=color)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## List the targets
	@echo 'usage: make TARGET [VARIABLE=value ...]'; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile
	@echo; echo 'Defaults: DATA=glyphs BACKBONE=glyph-clip DEVICES=auto VENV=.venv. ARGS goes to the command as it is.'

# --- set-up -------------------------------------------------------------------------------------

.PHONY: install
install:  ## Set up the environment (VENV=.venv, PYTHON=python3.11: any of 3.10 to 3.12)
	@sh .ci/setup '$(VENV)' $(call quote,PYTHON)
	@echo "ready: $(VENV), $$($(RUN) --version)"

# The stamp is written last and says which lock is installed: see .ci/setup.
$(STAMP): requirements.lock $(RUN)
	@sh .ci/setup '$(VENV)' $(call quote,PYTHON)
$(RUN): ;

.PHONY: doctor
doctor: $(STAMP)  ## Name Python, torch, GPU, disk, name clashes, and what to mend
	$(RUN) -m datamodules doctor $(ARGS)

.PHONY: lock
lock:  ## Pin and hash what pyproject.toml asks for (needs uv; ARGS=--upgrade for newer versions)
	@uv --version >/dev/null || { echo 'error: expected uv to write requirements.lock, found none. Install it: python3 -m pip install uv' >&2; exit 2; }
	@cp requirements.lock .partial-lock
	uv pip compile --no-config --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	  --no-annotate --extra dev $(ARGS) --output-file .partial-lock pyproject.toml
	@{ echo '# Every package, pinned and hashed, for Python 3.10 to 3.12. Written by `make lock` from'; \
	  echo '# pyproject.toml (uv pip compile --universal --generate-hashes); installed by `make install`.'; \
	  cat .partial-lock; } > .partial-lock-whole
	@rm .partial-lock && mv .partial-lock-whole requirements.lock

# --- work ---------------------------------------------------------------------------------------

need-%:
	$(if $(strip $(value $*)),,$(error $* is not set: expected $(WANTED_$*), got nothing. Example: make $(firstword $(MAKECMDGOALS)) $*=$(EXAMPLE_$*)))
WANTED_ATTR := the name of an attribute
EXAMPLE_ATTR := color
WANTED_ATTRS := the names of two or more attributes whose deltas are trained
EXAMPLE_ATTRS := "color shape"
WANTED_DELTA := the folder of a delta
WANTED_ROOT := the folder of a data set
EXAMPLE_ROOT := path/to/folder
EXAMPLE_DELTA := artifacts/deltas/glyph-clip/glyphs/color

.PHONY: base
base: $(STAMP)  ## Train the small CLIP glyph-clip on the captions of glyphs (its weights are shipped)
	$(RUN) -m lightning_modules base --config configs/base.yaml $(ARGS)

.PHONY: dictionary
dictionary: $(STAMP)  ## Build the dictionary of attributes of a data set (DATA=glyphs ROOT=)
	$(RUN) -m datamodules dictionary build $(SOURCE) $(ARGS)

.PHONY: prepare
prepare: need-ROOT $(STAMP)  ## Verify a data set, count what is in it, fill its cache: DATA=cub ROOT=path (ARGS=--download)
	$(RUN) -m datamodules prepare $(SOURCE) $(ARGS)

.PHONY: split
split: $(STAMP)  ## Write a split: DATA=cub ROOT=path ARGS="--protocol few-shot --shots 16 --seed 1"
	$(RUN) -m datamodules split $(SOURCE) $(ARGS)

.PHONY: train
train: need-ATTR $(STAMP)  ## Train the adapter of one attribute: ATTR=color (DATA ROOT BACKBONE PRETRAINED DEVICES)
	$(RUN) -m lightning_modules fit --config configs/train.yaml --data.attribute=$(call quote,ATTR) \
	  $(WORLD) $(MODEL) --trainer.devices=$(call quote,DEVICES) $(ARGS)

# One process an attribute: a failure is named at the end and does not stop the others.
.PHONY: train-all
train-all: $(STAMP)  ## Train the adapter of every selected attribute of the dictionary
	@names=$$($(RUN) -m datamodules dictionary names $(SOURCE)) || exit; \
	printf '%s\n' "$$names" | { failed=; while IFS= read -r name; do \
	  $(RUN) -m lightning_modules fit --config configs/train.yaml --data.attribute="$$name" \
	    $(WORLD) $(MODEL) --trainer.devices=$(call quote,DEVICES) $(ARGS) </dev/null \
	    || failed="$$failed, $$name"; done; \
	  [ -z "$$failed" ] || { echo "error: not trained: $${failed#, }" >&2; exit 1; }; }

# "color shape" -> [color,shape] for --model.deltas, color+shape for the task.
ATTRS_LIST = '[$(subst $(SPACE),$(COMMA),$(strip $(subst ','\'',$(value ATTRS))))]'
ATTRS_TASK = '[{"attribute": "$(subst $(SPACE),+,$(strip $(subst ','\'',$(value ATTRS))))", "source": "$(subst ','\'',$(value DATA))"$(if $(strip $(ATTRS_ROOT)),$(COMMA) "root": "$(ATTRS_ROOT)")}]'
# Images of its own: what adapters were trained on, they know by heart, and it would teach nothing.
ATTRS_ROOT = $(or $(subst ','\'',$(value ROOT)),$(if $(filter glyphs,$(value DATA)),artifacts/data/glyphs-1))
COMMA := ,
SPACE := $(subst ,, )

.PHONY: compose
compose: need-ATTRS $(STAMP)  ## Learn how to scale the deltas of several attributes, block by block: ATTRS="color shape"
	$(RUN) -m composition fit --config configs/compose.yaml --model.deltas=$(ATTRS_LIST) \
	  --data.tasks=$(ATTRS_TASK) $(MODEL) --trainer.devices=$(call quote,DEVICES) $(ARGS)

.PHONY: evaluate
evaluate: need-ATTR $(STAMP)  ## Compare an adapter with its base: ATTR=color
	$(RUN) -m lightning_modules evaluate --attribute=$(call quote,ATTR) $(SOURCE) \
	  --backbone=$(call quote,BACKBONE)$(call option,--pretrained,PRETRAINED) $(ARGS)

.PHONY: verify
verify: need-DELTA $(STAMP)  ## Check a saved delta: DELTA=artifacts/deltas/glyph-clip/glyphs/color
	$(RUN) -m lightning_modules verify $(call quote,DELTA) $(ARGS)

.PHONY: interpret
interpret: $(STAMP)  ## Open the model up: COMMAND=heads (or decompose textspan ablate retrieve segment adapter coefficients)
	$(RUN) -m interpret $(call quote,COMMAND) $(SOURCE) --backbone=$(call quote,BACKBONE) \
	  $(call option,--pretrained,PRETRAINED)$(call option,--delta,DELTA) $(ARGS)

.PHONY: experiment
experiment: $(STAMP)  ## The study: adapters and their compositions over SEEDS="0 1 2", as tables (two hours on two cores)
	$(RUN) -m lightning_modules study --backbone=$(call quote,BACKBONE) $(SOURCE) --seeds $(SEEDS)
	$(RUN) -m composition study --backbone=$(call quote,BACKBONE) $(SOURCE) --seeds $(SEEDS) $(ARGS)

.PHONY: tensorboard
tensorboard: $(STAMP)  ## Watch the runs in a browser on this machine
	$(RUN) -m tensorboard.main --logdir runs --host 127.0.0.1 $(ARGS)

.PHONY: bench
bench: $(STAMP)  ## Measure our forms beside the peers' and the floor; table in benchmarks/results/
	$(RUN) -m benchmarks $(ARGS)

.PHONY: bench-gpu
bench-gpu: $(STAMP)  ## Measure on an NVIDIA GPU: the main job with ViT-B-32 and ViT-L-14, training steps, compositions
	$(RUN) -m benchmarks --gpu main_job train_step compose_step compose_stream interpret_decompose interpret_textspan interpret_heatmap $(ARGS)

# --- checks -------------------------------------------------------------------------------------

.PHONY: test
test: $(STAMP)  ## Run the tests that need no GPU, in two processes (ARGS="-k delta" for some)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -m 'not gpu' -n 2 --dist worksteal $(ARGS)

.PHONY: test-gpu
test-gpu: $(STAMP)  ## Run the tests that need an NVIDIA GPU
	$(RUN) -m pytest -m gpu $(ARGS)

.PHONY: test-ddp
test-ddp: $(STAMP)  ## Run the tests that start two processes
	$(RUN) -m pytest -m ddp $(ARGS)

.PHONY: lint
lint: $(STAMP)  ## Check style and format
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

.PHONY: format
format: $(STAMP)  ## Mend style and format
	$(RUN) -m ruff check --fix-only .
	$(RUN) -m ruff format .

.PHONY: types
types: $(STAMP)  ## Check types
	$(RUN) -m mypy

.PHONY: layers
layers: $(STAMP)  ## Check that each room imports lower rooms only, without cycles
	$(VENV)/bin/lint-imports

.PHONY: check
check: lint types layers test  ## All that CI runs

# Never artifacts/ nor runs/: what took hours to make is removed by hand.
.PHONY: clean
clean:  ## Remove caches; artifacts and runs stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build aspectra.egg-info
	find $(ROOMS) benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
