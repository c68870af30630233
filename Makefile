# Needs Linux, Python 3.11 to 3.13 and make; everything else is installed into .venv from the lock files.
PYTHON ?= python3
BIN := .venv/bin
WORKDIR ?= runs/digits
TARGET ?= cpu
IMAGE ?= lockstep
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/runtime: requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: train
train: .venv/runtime ## Train the default config on the embedded digits
	$(BIN)/python -m trainer --config=digits --workdir=$(WORKDIR)

.PHONY: test
test: .venv/dev lint ## Check style and types, run the tests
	$(BIN)/python -m pytest -m "not slow" -n auto --dist=loadfile --durations=25

.venv/s3: tests/storage/s3.txt .venv/dev
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --no-deps --require-hashes -r tests/storage/s3.txt
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$(echo $@/lib/python*/site-packages)/beside.pth
	@touch $@

.venv/trackers: tests/monitoring/trackers.txt .venv/dev
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --no-deps --require-hashes -r tests/monitoring/trackers.txt
	@touch $@

.PHONY: test-slow
test-slow: .venv/dev .venv/s3 .venv/trackers ## Run the long chaos and soak suites
	$(BIN)/python -m pytest -m slow -n auto --dist=loadscope --no-loadscope-reorder --durations=25

# Unpinned by nature: what the package index serves today. No test of the project depends on it.
.PHONY: .venv/next
.venv/next: .venv/dev
	$(PYTHON) -m venv --clear $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check "tensorflow>=0.dev0"
	$@/bin/python -m pip uninstall --quiet --disable-pip-version-check --yes keras keras-nightly
	$@/bin/python -m pip install --quiet --disable-pip-version-check --pre keras-nightly
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$(echo $@/lib/python*/site-packages)/beside.pth

.PHONY: test-next
test-next: .venv/next ## Name what differs with TensorFlow's next release and Keras nightly
	$</bin/python -m tests.upstream.report

.venv/peers: benchmarks/peers/install.sh $(wildcard benchmarks/peers/*.txt)
	sh benchmarks/peers/install.sh $@

.PHONY: bench
bench: .venv/runtime .venv/peers ## Measure speed against other frameworks, interleaved
	$(BIN)/python -m benchmarks.speed --environments=.venv/peers

.PHONY: gallery
gallery: .venv/runtime ## Train the examples to their ends, check their results, write docs/gallery.md
	$(BIN)/python -m benchmarks.gallery

.PHONY: lint
lint: .venv/dev ## Check style, types and the import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: .venv/dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: .venv/dev ## Make a site of the pages in site/, without warnings
	$(BIN)/python -m sphinx -q -W --keep-going -n docs site

.PHONY: manifests
manifests: .venv/runtime ## Render the Kubernetes manifests under k8s/ again
	$(BIN)/python -m launch.render.examples k8s

# Programs and images of the cluster are kept here from run to run; each carries its version.
CLUSTER ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lockstep/cluster

.PHONY: cluster-up
cluster-up: .venv/dev ## Start a real Kubernetes control plane (needs Go); NODE=1: with a node (needs root)
	$(BIN)/python -m tests.control_plane.control_plane up $(CLUSTER) $(if $(NODE),--node)

.PHONY: cluster-test
cluster-test: .venv/dev ## Start it with a node, run tests/control_plane on it and stop it
	$(BIN)/python -m tests.control_plane.control_plane test $(CLUSTER) --node

.PHONY: cluster-down
cluster-down: ## Stop it
	$(BIN)/python -m tests.control_plane.control_plane down $(CLUSTER)

.PHONY: image
image: ## Build an image: BASE_DIGEST=sha256:... [TARGET=cpu|gpu|tpu|test] (docs/images.md)
	VERSION=$(VERSION) sh tests/container/image.sh build $(TARGET) $(IMAGE):$(VERSION)-$(TARGET)

.PHONY: image-test
image-test: ## Train and test in the test image: no network, read-only
	sh tests/container/image.sh test $(IMAGE):$(VERSION)-test

.PHONY: sbom
sbom: .venv/dev ## Write the CycloneDX bill of materials of .venv to sbom.json
	$(BIN)/python -m tests.supply_chain.sbom > sbom.json

.PHONY: licences
licences: .venv/dev ## List the licence of every dependency
	@$(BIN)/python -m tests.supply_chain.licences

.PHONY: lock-images
lock-images: .venv/dev ## Pin the images' dependencies by hash again
	for name in cpu gpu tpu test; do \
	  $(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-annotate --no-header --no-emit-index-url requirements-$$name.in -o requirements-$$name.lock || exit; \
	done

.PHONY: lock
lock: .venv/dev ## Pin every dependency by hash again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url pyproject.toml --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url tests/monitoring/trackers.in -o tests/monitoring/trackers.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url tests/storage/s3.in -o tests/storage/s3.txt
