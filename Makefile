# Every target sets up what it needs from nothing: a virtual environment in the checkout, with uv
# where it is installed and pip where it is not.

PYTHON ?= python3
FULL := .venv
BASE := .venv-base
UV := $(shell command -v uv 2>/dev/null)

.PHONY: help demo test check zoo format clean

help:
	@echo "make demo    search a small drawn catalogue; installs the runtime only"
	@echo "make test    run the test suite"
	@echo "make check   everything CI runs: format, lint, types, tests, wheel"
	@echo "make zoo     train and export the shipped model again, from nothing"
	@echo "make format  rewrite the sources in the house format"
	@echo "make clean   remove environments and caches"

demo: $(BASE)/ready
	$(BASE)/bin/boost-edge demo

test: $(FULL)/ready
	$(FULL)/bin/python -m pytest --cov --cov-report=term:skip-covered

check: $(FULL)/ready
	$(FULL)/bin/ruff format --check .
	$(FULL)/bin/ruff check .
	$(FULL)/bin/mypy
	$(FULL)/bin/pyright --pythonpath $(FULL)/bin/python
	$(MAKE) test

# The shipped model is made from nothing by this recipe; models/zoo/README.md describes it.
zoo: $(FULL)/ready
	rm -rf runs/zoo
	$(FULL)/bin/python -m boost_edge.bench.catalogue runs/zoo/catalogue --count 5000 --seed 1
	$(FULL)/bin/boost-edge train runs/zoo/catalogue/labels.csv --images runs/zoo/catalogue/images \
		--backbone squeezenet1_1 --weights none --tap features.4+features.7+features.10 \
		--attributes type,colour,pattern,sleeve --image-size 112 --out runs/zoo/run
	$(FULL)/bin/boost-edge export runs/zoo/run --out models/zoo/garments-drawn.onnx

format: $(FULL)/ready
	$(FULL)/bin/ruff check --fix-only .
	$(FULL)/bin/ruff format .

clean:
	rm -rf $(FULL) $(BASE) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist

$(FULL)/ready: pyproject.toml
	$(call new_venv,$(FULL))
	$(call install,$(FULL),--editable '.[train,bench,dev]')
	touch $@

$(BASE)/ready: pyproject.toml
	$(call new_venv,$(BASE))
	$(call install,$(BASE),--editable .)
	touch $@

ifdef UV
new_venv = uv venv --quiet --clear --python $(PYTHON) $(1)
install = uv pip install --quiet --python $(1)/bin/python $(2)
else
new_venv = $(PYTHON) -m venv --clear $(1)
install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
endif
