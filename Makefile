# Two commands, nothing before them: `make course` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without an NVIDIA driver pip must not take the CUDA build of torch.
CONSTRAINTS := $(shell command -v nvidia-smi >/dev/null 2>&1 || echo "-c constraints/cpu.txt")
INSTALLED := $(VENV)/installed
WORKERS ?= 2
RUN ?= demo
STUDIES ?= 200
MOMENTS ?= 5
SOAK ?= 40
MUTANTS ?= 200
SEED ?= 0

.PHONY: help course test bench torture lint format notebooks figures book browser kaggle kaggle-rehearsal clean

help:
	@echo "make course     install, then end to end from DICOM to submission on phantoms"
	@echo "make test       lint, types, unit tests and every notebook"
	@echo "make bench      how fast it is beside its peers, in outputs/bench: minutes on two cores that do nothing else"
	@echo "make torture    tries to break it: damaged studies, files, tables, killed runs, edited code; in outputs/torture (over an hour)"
	@echo "make format     let ruff mend what it can"
	@echo "make notebooks  run the notebooks as the tests do and store the outputs that git keeps"
	@echo "make browser    the notebooks in JupyterLab, the report and the book in a real browser, headless"
	@echo "make kaggle     what a fork on Kaggle needs, in dist/kaggle: make kaggle OWNER=YOU, your user name there"
	@echo "make kaggle-rehearsal  the notebooks as forks, on an imitation of Kaggle's machine (as root; takes hours)"
	@echo "make figures    store the figures that git keeps, of the executed run RUN (demo) on phantoms"
	@echo "make book       a browsable book in outputs/book: executed notebooks of RUN (demo), glossary, reference"
	@echo "make clean      remove build files and tool caches; outputs/ and $(VENV) stay"

course: $(INSTALLED)
	$(BIN)/spinekit run 00 01 02 03 04 05 06 --profile demo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not browser" --nbval-lax tests notebooks

bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks

torture: $(INSTALLED)
	$(BIN)/python tests/torture --studies $(STUDIES) --moments $(MOMENTS) --soak $(SOAK) --mutants $(MUTANTS) \
		--seed $(SEED) $(if $(REAL),--real $(REAL))

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/typos

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(INSTALLED)
	$(BIN)/spinekit refresh

# Chromium of this machine, or else the one that Playwright downloads.
browser: $(INSTALLED)
	command -v chromium chromium-browser google-chrome || $(BIN)/playwright install --with-deps chromium
	$(BIN)/python -m pytest -n 0 -m browser tests/browser

kaggle: $(INSTALLED)
	$(BIN)/spinekit kaggle bundle dist/kaggle $(if $(OWNER),--owner $(OWNER))

kaggle-rehearsal: $(INSTALLED)
	SPINEKIT_OUTPUTS=$(CURDIR)/outputs $(BIN)/python -m pytest -n 0 -s -m slow tests/kaggle

figures: $(INSTALLED)
	$(BIN)/spinekit refresh --figures $(RUN)

book: $(INSTALLED)
	$(BIN)/python notebooks/book/build.py --run $(RUN)

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

# The stamp is newer than what decides the installation: a second call takes no time.
$(INSTALLED): pyproject.toml constraints/cpu.txt
	@echo "Installing into $(VENV): a minute or two, torch is large"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet $(CONSTRAINTS) -e '.[dev]'
	touch $@
