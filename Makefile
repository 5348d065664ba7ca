# Two commands do everything on a fresh machine with Python 3.11 or later: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
MINUTES ?= 10

# Tests and benchmarks start processes by the hundred: what those import is compiled once, not each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check quality chaos bench bench-peers examples clean

demo: .venv/demo-ready
	$(BIN)/millrace demo $(ARGS)

test: .venv/dev-ready tests/node/node_modules/ready
	$(BIN)/pytest --numprocesses auto --dist loadfile $(ARGS)

check: .venv/dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Error rates against what the example documents say; exit code 1 below a floor. ARGS=ocr for one part.
quality: .venv/dev-ready
	$(BIN)/python -m quality $(ARGS)

# Random kills every 5 to 40 s over some documents in a second; ARGS="--seed 7" repeats an earlier run.
chaos: .venv/dev-ready
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

# Ratios against what the same machine does bare, in the same run; ARGS=--short: the quick ones, in about two minutes.
bench: .venv/dev-ready
	$(BIN)/python -m benchmarks $(ARGS)

# The same chain on other queues. Their servers: apt-get install --yes postgresql redis-server rabbitmq-server
bench-peers: .venv-peers/ready
	.venv-peers/bin/python -m benchmarks.peers $(ARGS)

examples: .venv/dev-ready
	$(BIN)/python -m examples.draw

clean:
	rm -rf .venv .venv-peers tests/node/node_modules .millrace build dist

.venv/pip-ready:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

.venv/demo-ready: .venv/pip-ready pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[engines,embedded]"
	touch $@

.venv/dev-ready: .venv/pip-ready pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable ".[engines,tesseract,textract,probablepeople,spacy,tokenizers,embedded,motor,otlp]"
	touch $@ .venv/demo-ready

# Node's driver, for the test that submits with it. Without npm that test fails, and says what to install.
tests/node/node_modules/ready: tests/node/package.json tests/node/package-lock.json
	if command -v npm >/dev/null; then cd tests/node && npm ci --no-audit --no-fund && touch node_modules/ready; fi

.venv-peers/ready: pyproject.toml benchmarks/peers/constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-peers/bin/python -m pip install --quiet --constraint benchmarks/peers/constraints.txt --group peers --editable ".[embedded]"
	touch $@
