# make demo, make disentangle, make lint, make test, make test-all, make bench, make bench-check, make bench-gpu: each does its own set-up in .venv (Python 3.11+, make and git suffice).

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
PYTEST := $(BIN)/python -m pytest
# Some images set it to 1; each of some hundred processes would then compile torch's, timm's and diffusers' sources anew.
export PYTHONDONTWRITEBYTECODE :=
# One test process a core, and one thread each: threads of several processes would wait for each other.
PARALLEL := OMP_NUM_THREADS=1 $(PYTEST) -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo disentangle parts readings sweep pairs lint test test-all test-browser bench bench-check bench-gpu clean
.DELETE_ON_ERROR:

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch $@

# A release and a real network's table and report on it: no network, no photos, no GPU; weights come from a package.
demo: $(INSTALLED)
	$(BIN)/python -m generation.run --recipe sample --out demo/d3s
	$(BIN)/python -m d3s_dataset.check demo/d3s
	cd demo && ../$(BIN)/python -c 'from datasets import load_dataset; print(load_dataset("d3s"))'
	$(BIN)/python -m benchmark.run --model packaged:tf_efficientnet_lite0 --dataset demo/d3s --out demo/results
	$(BIN)/python -m benchmark.report demo/results/*.json --dataset demo/d3s --out demo/report.html
	@echo "release: demo/d3s   results: demo/results   report: demo/report.html, for a browser"
	@echo "next, a second model and a paired comparison; or your own model:"
	@echo "  source .venv/bin/activate"
	@echo "  python -m benchmark.run --model packaged:tf_efficientnet_lite2 --dataset demo/d3s --out demo/results"
	@echo "  python -m benchmark.compare demo/results/*.json"
	@echo "  python -m benchmark.run --model MODULE:FUNCTION --dataset demo/d3s --out demo/results"

# The paper's second half, and on the other core the paired objective against plain training. One thread each: two gain
# these small tensors little. Each command's output comes when it ends.
disentangle: $(INSTALLED)
	@echo "trainings and measurements, two at a time: each command's output is shown when it ends"
	OMP_NUM_THREADS=1 $(MAKE) -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=line) readings pairs sweep
	@echo "models: demo/parts, demo/plain, demo/paired   sweep: demo/sweep   results: demo/disentangled"

# A training in parts without conflicting images.
parts: $(INSTALLED)
	$(BIN)/python -m generation.run --recipe sample --out demo/d3s
	$(BIN)/python -m benchmark.train --model test_byobnet --objective wasserstein --image-size 64 --epochs 16 \
		--aligned-only sample --dataset demo/d3s --out demo/parts

# What probes read in its parts, and the table of methods.
readings: parts
	$(BIN)/python -m benchmark.probe --model local-dir:demo/parts --probes linear --null 5 --erase leace \
		--dataset demo/d3s --out demo/disentangled
	$(BIN)/python -m benchmark.correlate --model local-dir:demo/parts --erase inlp leace --repeats 3 \
		--dataset demo/d3s --out demo/disentangled

# Leakage against accuracy over weights, for a neck on its features.
sweep: parts
	$(BIN)/python -m benchmark.sweep --model local-dir:demo/parts --objective hsic --lambdas 0 1 10 --null 5 \
		--dataset demo/d3s --out demo/sweep

# A plain training where each photo stands on several backgrounds, and the paired objective started from it.
pairs: $(INSTALLED)
	$(BIN)/python -m generation.run --recipe sample-pairs --out demo/pairs
	$(BIN)/python -m benchmark.train --model test_byobnet --objective erm --image-size 64 --epochs 20 \
		--dataset demo/pairs --out demo/plain
	$(BIN)/python -m benchmark.run --model local-dir:demo/plain --dataset demo/pairs --out demo/disentangled
	$(BIN)/python -m benchmark.train --model test_byobnet --objective pair --checkpoint demo/plain/model.safetensors \
		--foreground-features 64 --lambda 10 --lr 2e-3 --image-size 64 --epochs 24 --batch-size 128 \
		--images-per-photo 3 --dataset demo/pairs --out demo/paired
	$(BIN)/python -m benchmark.probe --model local-dir:demo/plain --probes lda knn kernel --null 5 \
		--dataset demo/pairs --out demo/disentangled
	$(BIN)/python -m benchmark.probe --model local-dir:demo/paired --probes lda knn kernel --null 5 \
		--allow-unconverged --dataset demo/pairs --out demo/disentangled

# Style, types, imports between rooms, spelling and wording. The tests run the same.
lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(PYTEST) -q tests/test_words.py

test: $(INSTALLED)
	$(PARALLEL) -m 'not long and not bench'

test-all: $(INSTALLED)
	$(PARALLEL) -m 'not bench'

# The tests that need a browser, which Debian and its kin bring: as root, or with sudo.
test-browser: $(INSTALLED)
	command -v chromium || { $(SUDO) apt-get update && $(SUDO) apt-get install --yes chromium; }
	$(PYTEST) tests -k browser -m 'not bench'

# BENCH: files of tests/bench, for some of them. Ratios are kept in tests/bench/ratios.json, for this kind of CPU.
BENCH ?= tests/bench
bench: $(INSTALLED)
	$(BIN)/python -m tests.bench.ratios record $(BENCH)

# Fails where a ratio fell by more than 15 % against what is recorded for this kind of CPU.
bench-check: $(INSTALLED)
	$(BIN)/python -m tests.bench.ratios check $(BENCH)

# What the GPU of this machine makes of it, in under eight minutes; where there is none, one line. PRICE is per hour.
PRICE ?= 2.99
bench-gpu: $(INSTALLED)
	$(BIN)/python -m tests.bench.gpu --price $(PRICE)

clean:
	rm -rf .venv demo
