# Every command of the project. Each needs nothing but Debian (or macOS with Xcode's command line tools), Python and
# a C++ compiler: scripts/prepare_environment.sh makes .venv and says, or as root installs, what is missing.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Warnings are errors here. Not on a Mac, until somebody has seen what Apple's own headers make its compiler warn of.
ifneq ($(shell uname),Darwin)
export SKBUILD_CMAKE_DEFINE ?= HELION_MSL_WERROR=ON
endif

SOURCES := pyproject.toml CMakeLists.txt README.md constraints.txt \
  $(shell find src python -type f -not -path '*/__pycache__/*' 2>/dev/null)

.PHONY: demo test generated-kernels bench lint types docs wheel format wall-compile wall-declarations wall-link wall-run wall-run-mistakes clean

demo: $(INSTALLED)
	$(BIN)/python examples/masked_copy.py
	$(BIN)/python examples/softmax.py

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(PYTEST_FLAGS)

# Kernels drawn at random, as Python and through MSL: make generated-kernels COUNT=20000 SEED=1
COUNT ?= 2000
SEED ?= 0
generated-kernels: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python -m generated_kernels --count $(COUNT) --seed $(SEED) --optimization 0

# BENCH takes names of benchmarks and options: make bench BENCH="throughput --quick"
bench: $(VENV)/.bench-tools
	$(BIN)/python -m benchmarks $(BENCH)

$(VENV)/bin/python:
	scripts/prepare_environment.sh "$(PYTHON)" "$(VENV)"

$(INSTALLED): $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt ".[helion,test]"
	touch $@

$(VENV)/.bench-tools: pyproject.toml | $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt "matplotlib>=3.8" "numpy>=1.26"
	touch $@

$(VENV)/.tools: pyproject.toml | $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev
	touch $@

lint: $(VENV)/.tools
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

types: $(VENV)/.tools
	$(BIN)/mypy

docs: $(VENV)/.tools
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs build/docs

wheel: $(VENV)/.tools
	$(BIN)/python -m build --wheel --outdir dist

$(VENV)/.mac-tools: scripts/mac_build/requirements.txt | $(INSTALLED)
	$(BIN)/python -m pip install --quiet -r $<
	touch $@

# The wheel for the Mac, built here, into build/mac/dist.
wall-compile: $(VENV)/.mac-tools
	PYTHONPATH=scripts $(BIN)/python -m mac_build.wall_compile
	$(BIN)/python -m pytest -q tests/test_wall_compile.py tests/test_wheel_check.py

# Every symbol that the extension in that wheel takes from elsewhere, against the libraries that export them.
wall-link: wall-compile
	PYTHONPATH=scripts $(BIN)/python -m mac_build.wall_link
	$(BIN)/python -m pytest -q tests/test_wall_link.py

# What the engine declares of Apple's frameworks, against PyObjC's macOS wheels.
wall-declarations: $(INSTALLED)
	PYTHONPATH=scripts $(BIN)/python -m declarations_wall

$(VENV)/.double-tools: tests/metal_double/requirements.txt | $(INSTALLED)
	$(BIN)/python -m pip install --quiet -r $<
	touch $@

# The test suite on the Metal engine, over a double of Metal, with sanitizers.
wall-run: $(VENV)/.double-tools
	$(BIN)/python scripts/wall_run.py

# Mistakes planted in a copy of the engine, each of which the tests above have to notice.
wall-run-mistakes: $(VENV)/.double-tools
	$(BIN)/python scripts/wall_run_mistakes.py

format: $(VENV)/.tools
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format --quiet
	git ls-files '*.cpp' '*.h' '*.mm' | xargs $(BIN)/clang-format -i

clean:
	rm -rf $(VENV) build dist
