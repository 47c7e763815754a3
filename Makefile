# One virtual environment for everything; `make demo` and `make test` need nothing but Python 3.10+ and make.
PYTHON ?= python3
BIN := .venv/bin
# One thread: a busy second core makes OpenMP spin.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

ENGINES := espeak-ng libespeak-ng1 espeak-ng-data

.PHONY: demo test lint engines real heads clean

.venv/demo: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip 2> .venv/pip.log || { cat .venv/pip.log; false; }
	$(BIN)/python -m pip install --quiet -e . 2> .venv/pip.log || { cat .venv/pip.log; false; }
	touch $@

.venv/test: .venv/demo
	$(BIN)/python -m pip install --quiet -e '.[test,dev]' 2> .venv/pip.log || { cat .venv/pip.log; false; }
	# Peers for exact comparisons; without their dependencies, one of which is a 286 MB compiler they do not need here.
	$(BIN)/python -m pip install --quiet --no-deps openai-whisper==20250625 whisper-timestamped==1.15.9 stable-ts==2.19.1 \
	  2> .venv/pip.log || { cat .venv/pip.log; false; }
	touch $@

# Human speech with word times set by hand: aligned to its text; then transcribed, too, by the embedded model.
demo: .venv/demo
	$(BIN)/align data/samples --text data/samples -f textgrid,srt,vtt,json -o out/demo --reference data/samples
	$(BIN)/align data/samples/alice.flac -f textgrid,srt,vtt,json -o out/transcribed --reference data/samples/alice.TextGrid

test: .venv/test engines
	$(BIN)/python -m pytest -q -n auto --dist loadfile

# The speech synthesiser that makes recordings with exact word times for tests; without it those tests are skipped.
engines:
	@ldconfig -p | grep -q libespeak-ng || \
	  { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(ENGINES) > /dev/null; } || \
	  echo "not installed: $(ENGINES)"

# OpenAI's tiny.en and base, for the tests and benchmarks that use them where they are there.
real: .venv/demo
	$(BIN)/python -m benchmarks.real build/real

# The timing heads that are shipped, taught again from transcribed English (see docs/head.md).
CORPORA ?= ../shared/corpora
heads: .venv/demo real
	$(BIN)/python -m benchmarks.selection $(CORPORA)/training -o build/heads/english.jsonl
	$(BIN)/align-eval adapt build/heads/english.jsonl --hours 2 --start even --model build/real/tiny.en -o aligner/heads/tiny.en.safetensors
	$(BIN)/align-eval adapt build/heads/english.jsonl --hours 2 --start even --model build/real/base --language en -o aligner/heads/base.safetensors

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build out dist
