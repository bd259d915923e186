# What one machine does: `make train` learns CartPole, `make test` tests. `make help` says the rest.

CONFIG ?= configs/cartpole.toml
ARGS   ?=
VENV   ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
LOCK := setup.cfg pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help train test test-long test-tasks test-tracking test-container test-browser test-gpu lint types clean platform

help:
	@echo "make train       learn CartPole (CONFIG=configs/....toml and ARGS='seed=2 --run-dir DIR' change that)"
	@echo "                 INSTALLER=uv: uv installs the packages, in a third of the time of pip (also for the tests)"
	@echo "                 for games: $(BIN)/pip install --constraint constraints.txt -e '.[minatar,atari]'"
	@echo "make test        run the tests (ARGS=tests/replay: only those)"
	@echo "make test-long   run the tests that take minutes: whole learning runs, deaths, many hosts"
	@echo "make test-tasks  run the tests of tasks whose packages are extras, which it installs (a gigabyte)"
	@echo "make test-tracking  run the tests with W&B's and MLflow's packages, which it installs"
	@echo "make test-container   build the image with Docker, and train in it"
	@echo "make test-gpu    run the tests that need a GPU (GPU_STAND_IN=1: on the CPU, to try the tests)"
	@echo "make test-browser     read a report's page in Chromium"
	@echo "make lint types  check style (ruff) and types (mypy)"
	@echo "make clean       remove the virtual environment $(VENV); runs are never touched"

train: $(VENV)/.installed
	@$(BIN)/tfdqn train $(CONFIG) $(ARGS)

# By three processes, also on two cores, since many tests wait for processes of their own. Each has all tests of a file,
# in the order of tests/conftest.py (ARGS=-n0: by one, for --pdb). What one has compiled is there for the others.
test: $(VENV)/.installed-dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "not long and not container and not tasks and not browser and not tracking and not gpu" -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m long $(ARGS)

test-tasks: $(VENV)/.installed-tasks
	$(BIN)/python -m pytest -m tasks $(ARGS)

test-tracking: $(VENV)/.installed-tracking
	$(BIN)/python -m pytest -m tracking $(ARGS)

test-container: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m container tests/container $(ARGS)

test-browser: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m browser tests/reports $(ARGS)

# On a machine without a registry: RUN -m pytest -m gpu tests/gpu, by the Python that has the packages.
test-gpu: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m gpu tests/gpu $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

clean:
	rm -rf -- "$(VENV)"

# A comma in an argument of `call`.
, := ,
INSTALL := install --constraint constraints.txt
# INSTALLER=uv takes a third of pip's time, but reads nothing of pip's configuration; if it fails, pip installs.
INSTALLER ?= pip
UV := "$(BIN)/uv" pip install --python "$(BIN)/python" --no-cache --quiet --compile-bytecode --constraint constraints.txt
INSTALL_THIS = { [ "$(INSTALLER)" = uv ] && $(PIP) $(INSTALL) uv && $(UV) $(1); } || $(PIP) $(INSTALL) $(1)

$(VENV)/.installed: $(LOCK) | platform
	@set -e; $(CREATE_VENV)
	@echo "Installing TensorFlow, TF-Agents and Reverb into $(VENV): about 700 MB to download and 2.2 GB on disk, a few minutes, only once."
	@$(call INSTALL_THIS,--editable .)
	@touch $@

# In one go with what training needs: pip resolves once.
$(VENV)/.installed-dev: $(LOCK) | platform
	@set -e; $(CREATE_VENV)
	@echo "Installing TensorFlow, TF-Agents, Reverb and what the tests need into $(VENV): a few minutes, only once."
	@$(call INSTALL_THIS,--editable '.[dev]')
	@touch $(VENV)/.installed $@

# The headless OpenCV last, over that of an environment with windows (setup.cfg).
$(VENV)/.installed-tasks: $(VENV)/.installed-dev
	@echo "Installing every kind of task into $(VENV): about a gigabyte, only once."
	@$(call INSTALL_THIS,--editable '.[tasks]')
	@$(call INSTALL_THIS,--no-deps --force-reinstall opencv-python-headless)
	@touch $@

$(VENV)/.installed-tracking: $(VENV)/.installed-dev
	@echo "Installing W&B and MLflow into $(VENV)."
	@$(call INSTALL_THIS,--editable '.[wandb$(,)mlflow]')
	@touch $@

# Said before pip can: dm-reverb is built for this platform alone.
platform:
	@case "$$(uname -sm) $$(ldd --version 2>&1)" in \
	*musl*|*Musl*) echo "tfdqn needs a Linux with glibc; this one has musl (Alpine?)." >&2; exit 2 ;; \
	"Linux x86_64 "*) ;; \
	*) echo "tfdqn runs on Linux x86-64, which is all that dm-reverb is built for; this is $$(uname -sm)." >&2; exit 2 ;; \
	esac

# A Python 3.11 that can make virtual environments (Debian's may lack ensurepip), else uv, which brings one.
IS_SUITABLE := -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))'
define CREATE_VENV
	if "$(BIN)/python" -m pip --version >/dev/null 2>&1; then \
		"$(BIN)/python" $(IS_SUITABLE) >/dev/null 2>&1 || { \
			echo "$(VENV) holds another Python than 3.11: \`make clean\` removes it." >&2; exit 2; }; \
		exit 0; \
	fi; \
	for python in python3.11 python3 python; do \
		if "$$python" $(IS_SUITABLE) >/dev/null 2>&1; then \
			"$$python" -m venv "$(VENV)"; exit 0; \
		fi; \
	done; \
	if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --seed --python 3.11 "$(VENV)"; exit 0; \
	fi; \
	echo "tfdqn needs Python 3.11 with its venv module (python3.11-venv on Debian), or uv; found neither." >&2; \
	exit 2
endef
