# Two commands: `make demo` and `make test`. Everything is installed in .venv. Nothing else on the machine is changed,
# except that `make test` installs Debian packages if it runs as root and there is apt-get.
PYTHON ?= python3
DATA ?= $(or $(DICOM_NODE_DATA),../shared/data)
CONFIG ?= $(wildcard node.toml)
BIN := .venv/bin
MODELS := dermoscopy_7class lung_nodule_ct lung_histology_ct
SHELL := /bin/bash
# Packages are installed without compiled files; the first process that imports one writes them. Where this variable forbids it, every
# process compiles torch and everything else again, which takes it 3 to 10 s of processor time.
unexport PYTHONDONTWRITEBYTECODE
PINS := requirements/torch.txt requirements/worker.txt requirements/embedded.txt
# No file is installed whose SHA-256 is not in requirements/hashes.txt; requirements/hashed.py says why torch is the exception.
HASHED = $(BIN)/python requirements/hashed.py $(1) >.venv/pins.txt && \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/pins.txt

.PHONY: demo viewer test test-failed check unit lint types bench chaos fuzz serve lock audit models federated crossval figures docs pictures schema debian wheel sbom containers clean-venv help

help:  ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Empty files as stamps: a second run installs nothing unless the pins have changed.
.venv/.run: $(PINS) requirements/hashes.txt pyproject.toml deploy/venv.sh
	@PYTHON="$(PYTHON)" deploy/venv.sh
	@touch $@

.venv/.viewer: .venv/.run requirements/viewer.txt
	@$(call HASHED,viewer)
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	@$(call HASHED,dev)
	@touch $@

.venv/.training: .venv/.run requirements/training.txt
	@$(call HASHED,training)
	@touch $@

# The viewer is installed only where Chromium and Orthanc's plug-in are: without them the demo makes no screenshots and says so.
demo: .venv/.run  ## install, start a node, send images, check the reports; CT=FOLDER SKIN=FOLDER JSON=FILE KEEP=1
	@! command -v chromium >/dev/null || [ ! -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || $(MAKE) --no-print-directory viewer || true
	@$(BIN)/dicom-node demo $(if $(CT),--ct "$(CT)") $(if $(SKIN),--skin "$(SKIN)") $(if $(JSON),--json "$(JSON)") $(if $(KEEP),--keep)

viewer: .venv/.viewer  ## install Playwright and download OHIF (once, 50 MB each) for the screenshots at the end of the demo
	@$(BIN)/python -m deploy.demo.viewer.ohif_files

serve: .venv/.run  ## run the node with embedded servers; CONFIG=node.toml
	@$(if $(CONFIG),,echo "there is no node.toml: the node starts without sources and destinations (see docs/configuration.md)" >&2;) \
	$(BIN)/dicom-node up $(if $(CONFIG),--config "$(CONFIG)")

test: .venv/.dev debian  ## the whole test suite in six processes, because many tests wait; JOBS=0 for one process, ARGS=
	@$(BIN)/python -m deploy.demo.viewer.ohif_files || true
	@$(BIN)/python -m tests.support.oidc_servers
	@$(BIN)/python -m tests.support.axe_core || true
	@$(BIN)/python -m pytest -n $(or $(JOBS),6) --dist loadfile --no-loadscope-reorder $(ARGS)

test-failed: .venv/.dev  ## the files of the tests that failed last time, again and in one process; refuses more than five tests
	@files=$$($(BIN)/python -m tests.support.failed_tests) && $(BIN)/python -m pytest $$files

# Types are the slowest part: they are checked beside the rest.
check: .venv/.dev  ## ruff, mypy --strict, import layers, structure checks, unit tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target types lint unit

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/.dev
	$(BIN)/mypy

unit: .venv/.dev
	$(BIN)/python -m pytest -q --durations=0 --durations-min=2 tests/core tests/structure

bench: .venv/.dev debian  ## measure speed, write docs/measurements.md; SECTION=receive, receive_budget, receive_others, hostile, series, dwell, workers, growth, load, encode, start, viewer, console, blobs, memory, patients, lung_nodules, skin_networks or hosts, ARGS=
	@for section in $(or $(SECTION),receive series dwell workers growth encode); do \
	  TCP_NODELAY=1 $(BIN)/python -m tests.bench.$$section $(ARGS) || exit 1; done

chaos: .venv/.dev debian  ## inject faults under load and check that nothing is lost or done twice; SEED=1 N=40, ARGS=--hosts for several hosts (root)
	@$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --studies $(or $(N),40) $(ARGS)

fuzz: .venv/.dev debian  ## send hostile input to listener, decoders and worker, and search for costly input; SEED=1 N=10000
	@FUZZ_SEED=$(or $(SEED),1) FUZZ_INPUTS=$(or $(N),10000) $(BIN)/python -m pytest tests/fuzz -s $(ARGS)

wheel: .venv/.dev  ## build the wheel into dist/ (docs/install.md says how it is installed)
	@$(BIN)/python -m build --wheel --outdir dist .

sbom: .venv/.run  ## write the bill of materials of this release (CycloneDX) into dist/
	@mkdir -p dist
	@$(BIN)/python -m deploy.images.sbom dicom-node $(PINS) >dist/dicom-node.cdx.json

containers: .venv/.dev  ## build the images, run the whole compose file with a study, restart and remove it (root; podman, buildah); ARGS=--keep
	@$(BIN)/python -m tests.containers $(ARGS)

federated: .venv/.dev  ## train across two sites as processes on this machine, over mutual TLS (docs/federated.md)
	@$(BIN)/python -m pytest -q tests/training/federated/training_run.py

models: .venv/.training  ## train every model from DATA (default ../shared/data) into out/
	$(BIN)/dicom-node models train dermoscopy_7class --data "$(DATA)" --out out/dermoscopy_7class
	$(BIN)/dicom-node models train lung_nodule_ct --data "$(DATA)" --out out/lung_nodule_ct
	$(BIN)/dicom-node models train lung_histology_ct --data "$(DATA)" --out out/lung_histology_ct

crossval: .venv/.training  ## train and measure dermoscopy_7class fold by fold in out/crossval (resumable), then the pages
	$(BIN)/dicom-node models crossval dermoscopy_7class --data "$(DATA)" --out out/crossval $(ARGS) >/dev/null
	$(BIN)/python -m training.dermoscopy.transfer.cross_validation --data "$(DATA)" --out out/transfer_folds --base out/crossval/ensemble $(ARGS)
	cp out/transfer_folds/crossval.json docs/models/dermoscopy_7class/
	$(BIN)/dicom-node models docs

figures: .venv/.training  ## measure the models on DATA: figures and pictures into docs/models, then the pages; real images stay in out/figures
	@for name in $(MODELS); do \
	  $(BIN)/dicom-node models evaluate $$name --data "$(DATA)" --out out/figures/$$name >/dev/null && mkdir -p docs/models/$$name && \
	  cp out/figures/$$name/*.png out/figures/$$name/figures.json docs/models/$$name/ || exit 1; done
	$(BIN)/dicom-node models docs

docs: .venv/.run  ## write the generated pages anew: docs/configuration.md and docs/models
	$(BIN)/dicom-node models docs
	$(BIN)/python -m deploy.configuration_page

pictures: .venv/.dev  ## take the pictures of the console for README.md and docs/console.md anew
	@$(BIN)/python -m tests.support.console_pictures docs/pictures/console

schema: .venv/.dev  ## write docs/schema.md anew from the catalogue of an upgraded database
	@$(BIN)/python -m tests.support.schema_page

lock:  ## refresh every pin of requirements/
	@requirements/lock.sh

audit: .venv/audit  ## every pin against published advisories; exit 2 where no source of them could be reached
	@.venv/audit/bin/python requirements/audit.py

.venv/audit: requirements/audit.txt requirements/hashes.txt
	@$(PYTHON) -m venv $@ && $(PYTHON) requirements/hashed.py audit >$@/pins.txt && \
	  $@/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $@/pins.txt && touch $@

debian:
	@deploy/debian.sh

clean-venv:  ## remove .venv
	rm -rf .venv
