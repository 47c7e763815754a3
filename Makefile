# One virtual environment for everything; `make demo` and `make test` need nothing but Python 3.10+ and make.
PYTHON ?= python3
BIN := .venv/bin
# One thread: a busy second core makes OpenMP spin.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
CORPORA ?= ../shared/corpora
BUILD := build
# Steps on synthetic speech, then on all speech in two runs; before each of them the times are estimated (again).
FIRST ?= 6000
STEPS ?= 10000
# Two processes of one thread each: on two cores half as fast again as one process. On a GPU: TRAIN='.venv/bin/python -m data.train'.
TRAIN ?= $(BIN)/python -m torch.distributed.run --nproc-per-node 2 -m data.train

ENGINES := espeak-ng libespeak-ng1 espeak-ng-data flite libflite1 festival festvox-kdlpc16k
# Common words that the training texts may lack; optional.
WORDS := $(foreach size,10 20 35,$(wildcard /usr/share/dict/scowl/english-words.$(size) /usr/share/dict/scowl/american-words.$(size)))

.PHONY: demo test lint engines model model-quick clean

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

demo: .venv/demo
	$(BIN)/align data/samples --text data/samples -f textgrid,srt,vtt,json -o out/demo
	$(BIN)/align data/samples/harbour.flac --text data/samples/harbour.txt \
	  --reference data/samples/harbour.TextGrid -f textgrid,srt,vtt,json -o out/demo

test: .venv/test engines
	$(BIN)/python -m pytest -q

# Speech synthesisers, for training and for the tests of its recipe; without them those tests are skipped.
engines:
	@ldconfig -p | grep -q libespeak-ng && ldconfig -p | grep -q libflite && command -v festival > /dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(ENGINES) > /dev/null; } || \
	  echo "not installed: $(ENGINES)"

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# --- the embedded model: see data/README.md -----------------------------------------------
# Real speech: any folder of .jsonl manifests; text: one sentence a line.
model: .venv/test engines
	$(BIN)/python -m pip install --quiet pocketsphinx  # for its language model
	$(BIN)/python -m data.prepare real $(CORPORA)/training -o $(BUILD)/features/real
	$(BIN)/python -m data.prepare synthetic $(CORPORA)/text/public-domain.txt -o $(BUILD)/features/synthetic --hours 24
	$(TRAIN) $(BUILD)/features/synthetic -o $(BUILD)/first --steps $(FIRST)
	$(BIN)/python -m data.align $(BUILD)/features/real $(BUILD)/features/synthetic --model $(BUILD)/first/last.pt
	$(TRAIN) $(BUILD)/features/real $(BUILD)/features/synthetic \
	  -o $(BUILD)/second --init $(BUILD)/first/last.pt --steps $(STEPS)
	$(BIN)/python -m data.align $(BUILD)/features/real $(BUILD)/features/synthetic --model $(BUILD)/second/last.pt
	$(TRAIN) $(BUILD)/features/real $(BUILD)/features/synthetic \
	  -o $(BUILD)/run --init $(BUILD)/second/last.pt --steps $(STEPS)
	$(BIN)/python -m data.export $(BUILD)/run/last.pt $(BUILD)/checkpoint
	$(BIN)/python -m data.lexicon $(BUILD)/features/real $(BUILD)/features/synthetic \
	  --text $(CORPORA)/text/public-domain.txt $(foreach file,$(WORDS),--words $(file)) \
	  --sphinx $$($(BIN)/python -c "print(__import__('pocketsphinx').get_model_path('en-us/en-us.lm.bin'))") \
	  -o $(BUILD)/checkpoint
	$(BIN)/python -m eval prepare synthetic $(BUILD)/synthetic --make 60 --seed 11 \
	  --text $(CORPORA)/text/public-domain.txt -o $(BUILD)/synthetic.jsonl
	$(BIN)/align-eval heads $(BUILD)/synthetic.jsonl --utterances 60 --model $(BUILD)/checkpoint --write

# A few minutes, synthetic speech only: shows that the recipe runs, not a usable model.
model-quick: .venv/test engines
	$(BIN)/python -m data.prepare synthetic data/samples/sentences.txt -o $(BUILD)/quick/features --hours 0.3 --held-out-hours 0.02
	OMP_NUM_THREADS=2 $(BIN)/python -m data.train $(BUILD)/quick/features -o $(BUILD)/quick/run --steps 200
	$(BIN)/python -m data.export $(BUILD)/quick/run/last.pt $(BUILD)/quick/checkpoint

clean:
	rm -rf .venv build out dist
