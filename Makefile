# Everything on a fresh machine: `make demo` solves a problem, `make test` runs the tests, `make docs` builds the site.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: demo test docs clean

demo: $(READY)
	$(VENV)/bin/repnet-pde solve poisson_two_scale_1d --out $$(mktemp -d runs/demo-XXXXXX)

test: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

docs: $(READY)
	$(VENV)/bin/sphinx-build -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@mkdir -p runs && touch $@

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info
