# Everything on a fresh machine: `make demo` solves a problem, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: demo test clean

demo: $(READY)
	$(VENV)/bin/repnet-pde solve poisson_two_scale_1d --out $$(mktemp -d runs/demo-XXXXXX)

test: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -m pytest

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@mkdir -p runs && touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
