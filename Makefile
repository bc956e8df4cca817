# Set-up, checks and rebuilds. `make` alone says what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup repro test test-all lint format lock bench bench-full audit fuzz verify review gate prove comment pictures clean

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# DVC and TensorFlow start several times faster from byte-code, and some machines forbid writing it.
unexport PYTHONDONTWRITEBYTECODE
export TF_CPP_MIN_LOG_LEVEL ?= 2

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: .venv/ready ## Make .venv with the locked packages

# uv installs what requirements.lock names, from the index that pip is configured for, and compiles it to byte-code.
.venv/ready: requirements.lock bootstrap.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Glyphline needs Python 3.11, 3.12 or 3.13; $(PYTHON) is {v[0]}.{v[1]}. Name another with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
	index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}}"; \
	  if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	  .venv/bin/uv pip install --python .venv/bin/python --require-hashes --compile-bytecode -r requirements.lock; \
	  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	touch $@

repro: setup ## Set up, then bring data, models, metrics, plots and report up to date, JOBS=n trainings at once, and read them all again
	glyphline repro $${JOBS:+"--jobs=$$JOBS"}
	python -m glyphline.review.integrity

test: setup ## Set up, then run the tests that take little time each
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-all: setup ## Set up, then run all tests: kills, faults, fuzzing, training too
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "long or not long"

lint: setup ## Check format, style and types
	ruff format --check .
	ruff check .
	mypy

format: setup ## Rewrite the code in the project's format
	ruff format .
	ruff check --fix .

lock: setup ## Resolve pyproject.toml anew into the lock files, and enter their digests there
	uv pip compile --group bootstrap --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o bootstrap.lock
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements.lock
	for group in bench fuzz audit; do uv pip compile --group $$group $$([ $$group = audit ] || echo --no-deps) --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o $$group.lock; done
	uv pip compile --group serve --constraint requirements.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o serve.lock
	for lock in *.lock; do digest="$$(python -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' < "$$lock")"; sed -i.old "s/^\"$$lock\" = .*/\"$$lock\" = \"$$digest\"/" pyproject.toml; done
	rm pyproject.toml.old

bench: setup .venv/bench ## Time Glyphline beside plain Keras and KerasTuner on little data: less than ten minutes
	python -m benchmarks.side_by_side mlp fast
	python -m benchmarks.pipeline --only mlp fast
	python -m benchmarks.growth --rounds 2
	PYTHONPATH="$(CURDIR)/.venv/bench" python -m benchmarks.search_speed --train 3600 --validation 400 --epochs 2

bench-full: setup .venv/bench ## The same on all of MNIST and at the size of Kuzushiji-49: hours
	python -m benchmarks.side_by_side --dataset mnist
	python -m benchmarks.pipeline
	python -m benchmarks.growth --rounds 5
	PYTHONPATH="$(CURDIR)/.venv/bench" python -m benchmarks.search_speed
	PYTHONPATH="$(CURDIR)/.venv/bench" python -m benchmarks.image_search

# Tools apart from the product's packages, of which bench uses the most.
.venv/bench .venv/fuzz .venv/audit: .venv/%: %.lock
	uv pip install --quiet --target $@ --no-deps --require-hashes -r $<
	touch $@

# --strict: a package that the service does not know is no package without vulnerabilities.
audit: setup .venv/audit ## Ask for known vulnerabilities of the locked packages; needs the internet
	@PYTHONPATH="$(CURDIR)/.venv/audit" python -m pip_audit --strict --disable-pip --require-hashes --progress-spinner off \
	  -r requirements.lock -r bootstrap.lock 2> .venv/audit.log || { \
	  if grep -q '^Found ' .venv/audit.log; then cat .venv/audit.log; \
	  else echo "make audit: no service told of every locked package whether it has known vulnerabilities ($$(tail -n 1 .venv/audit.log | cut -c 1-200)); run it where the internet is within reach"; fi >&2; exit 1; }

fuzz: setup .venv/fuzz ## Quick tests with new random cases, then a million guided files (CASES=n) for each of five readers; needs Linux on x86-64
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --hypothesis-profile=default
	for target in idx npz picture source params; do PYTHONPATH="$(CURDIR)/.venv/fuzz" python -m tests.fuzzing --guided "$$target" $${CASES:+--cases "$$CASES"}; done

verify: setup ## Say what is wrong between params.yaml, dvc.yaml, dvc.lock, the metrics in git and the data that are here
	python -m glyphline.review.integrity

# Names reach the shell as variables of its environment, so that nothing in them is taken for a command. FOLDER=path judges
# another checkout with the code of this one; -P keeps Python from importing that checkout's.
review: setup ## Print what changed since BASE=revision (if not given: since this branch left main)
	cd "$${FOLDER:-.}" && glyphline review $${BASE:+-- "$$BASE"}

gate: setup ## The same, and fail where a metric falls too far (BASELINE=tag: also since then) or dvc.lock is stale
	cd "$${FOLDER:-.}" && glyphline review --gate $${BASELINE:+"--baseline=$$BASELINE"} $${BASE:+-- "$$BASE"}

prove: setup ## Rebuild the last commit from nothing in a scratch clone, and compare with what it has
	cd "$${FOLDER:-.}" && python -P -m glyphline.review.proof

comment: ## Post the page PAGE=file on pull request PR=number, or renew it there; needs gh
	.github/comment

pictures: setup ## Make pictures of README and docs/use.md; exports best, fast and mlp (needs Chromium)
	mkdir -p docs/pictures
	cp plots/accuracy_vs_cost.png docs/pictures/
	cp plots/original/{curves,confusion,errors,network}.png docs/pictures/
	"$$(command -v chromium chromium-browser google-chrome google-chrome-stable | head -n 1)" --headless --no-sandbox --hide-scrollbars \
	  --window-size=1440,1560 --force-device-scale-factor=0.68 --screenshot=docs/pictures/report.png "$(CURDIR)/report/index.html"
	for variant in best fast mlp; do glyphline export "models/$$variant.keras"; done
	python -m tests.serve.picture docs/pictures/serve.png

clean: ## Remove .venv, data with downloads, models, plots, report, exports, runs (records, trials), DVC's cache and queue
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis plots report exports dvc_plots runs .dvc/cache .dvc/tmp
	git clean -fdqX data models
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
