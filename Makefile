# make demo   trains on handwritten digits for under three minutes and draws what was learnt
# make test   the whole suite, on every backend
# make lint   style and types
# make clean  removes what these made, except the runs

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/has-torch,train
	$(BIN)/python examples/demo.py

test: .venv/has-all
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(PYTEST)

lint: .venv/has-all,lint
	$(BIN)/ruff check .
	$(BIN)/pyright

# What stands after "has-" are extras of pyproject.toml. The file marks that they are installed.
.venv/has-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	touch "$@"

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
		|| { echo "make: $(PYTHON) is older than 3.11; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv .hypothesis .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
