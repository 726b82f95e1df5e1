# asset-uploads. `make` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := --norc -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# npm brings its own Node 24 (wrangler needs 22 or newer), so its binaries come first.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# No tool reports its use. What Spectral's packages would report when they are installed, package.json switches off
# (scarfSettings).
export WRANGLER_SEND_METRICS := false
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

TOOLS := $(CURDIR)/.tools
WORKER_BUILD_VERSION := 0.8.7
# The CLI must be of the very version that the crate was compiled with.
WASM_BINDGEN_VERSION := $(shell sed -n '/^name = "wasm-bindgen"$$/{n;s/^version = "\(.*\)"/\1/p;q;}' Cargo.lock)
WASM_STD := $(shell rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)
# What worker-build allows wasm-opt: no encoding that workerd may not support yet.
WASM_FEATURES := mutable-globals sign-ext nontrapping-float-to-int bulk-memory multivalue reference-types exception-handling
SOURCES := $(shell find src -type f) Cargo.toml Cargo.lock rust-toolchain.toml .cargo/config.toml

NODE_STAMP := node_modules/.package-lock.json
CLIENT := clients/typescript
CLIENT_SOURCES := $(shell find $(CLIENT)/src -type f ! -name schema.ts) $(CLIENT)/package.json $(CLIENT)/tsconfig.json
WEB_SOURCES := $(shell find web -type f ! -path '*/node_modules/*')
WORKER_BUILD := $(TOOLS)/worker-build-$(WORKER_BUILD_VERSION)
WASM_BINDGEN := $(TOOLS)/wasm-bindgen-$(WASM_BINDGEN_VERSION)
WASM_STAMP := $(TOOLS)/wasm32-std
FUZZ_VENV := build/fuzz-venv
FUZZ_STAMP := $(FUZZ_VENV)/.stamp

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

# The variables of make's command line, each quoted for the shell. $(value) has them as they were typed: a `$` is not expanded.
GIVEN = $(foreach name,$(sort $(.VARIABLES)),$(if $(filter command,$(origin $(name))),'$(subst ','\'',$(name)=$(value $(name)))'))

# dev.mjs builds, once it has looked at the variables.
.PHONY: dev
dev: $(NODE_STAMP) ## set everything up and serve on http://localhost:8787 with a development key; make dev WRITE_ONCE=false for another setting
	@node dev/dev.mjs $(GIVEN)

.PHONY: build
build: build/index.js public/index.html public/_headers public/openapi.json .dev.vars ## build the Worker into build/, the page into public/
	@:

# The Worker, which one processor optimizes, is built while the native tests run.
.PHONY: test
test: fmt-check clippy lint-openapi ## formatting, lints, native tests, the built Worker in workerd
	@$(MAKE) --no-print-directory test-native & native=$$!; \
	  $(MAKE) --no-print-directory build/bundle/index.js || { wait $$native || :; exit 1; }; \
	  wait $$native
	@$(MAKE) --no-print-directory test-worker test-scale

.PHONY: fmt
fmt: rust ## format the code
	cargo fmt

.PHONY: fmt-check
fmt-check: rust
	cargo fmt --check

.PHONY: clippy
clippy: rust $(WASM_STAMP)
	cargo clippy --all-targets -- -D warnings
	cargo clippy --lib --target wasm32-unknown-unknown -- -D warnings

# Two linters with the rules that each recommends; a warning fails, too.
.PHONY: lint-openapi
lint-openapi: $(NODE_STAMP)
	redocly lint --extends recommended-strict openapi.json
	spectral lint --ruleset tests/openapi/spectral.yaml --fail-severity hint openapi.json

.PHONY: openapi
openapi: rust ## write openapi.json anew from the table of endpoints and the types of their bodies
	@mkdir -p build
	cargo run --quiet --bin openapi > build/openapi.json
	mv build/openapi.json openapi.json

.PHONY: test-native
test-native: rust
	RUST_BACKTRACE=0 cargo test --quiet

.PHONY: test-worker
test-worker: build/bundle/index.js .dev.vars
	tsc --noEmit
	tsc --project web
	vitest run

.PHONY: test-scale
test-scale: $(NODE_STAMP)
	node bench/scale.ts --check

.PHONY: simulate
simulate: rust ## the API under random schedules and faults: make simulate SEEDS=100000; SEED=7 for one, SCHEDULE=file for one that failed
	RUST_BACKTRACE=0 SIMULATION_FROM=$(or $(SEED),$(FROM)) SIMULATION_SEEDS=$(or $(SEEDS),$(if $(SEED),1,100000)) SIMULATION_SCHEDULE=$(SCHEDULE) \
	  cargo test --quiet --profile simulation --test simulation -- --nocapture

.PHONY: simulate-mutants
simulate-mutants: rust $(NODE_STAMP) ## plant bugs one by one, each of which the simulation must find: an hour, or ONLY=word for some of them
	node tests/simulation/mutants.ts

.PHONY: fuzz
fuzz: rust build/bundle/index.js .dev.vars $(FUZZ_STAMP) ## parsers under arbitrary input, and schemathesis against the Worker: make fuzz FUZZ_EXAMPLES=15 for a short run
	PROPTEST_CASES=$${PROPTEST_CASES:-$$(( $${FUZZ_EXAMPLES:-100} * 50 ))} cargo test --quiet --test fuzz
	vitest run --config tests/fuzz/vitest.config.ts

.PHONY: soak
soak: build/bundle/index.js .dev.vars ## 32 clients while storage fails at random, then an audit: 10 minutes, or make soak MINUTES=2
	vitest run --config tests/soak/vitest.config.ts

.PHONY: bench
bench: build/bundle/index.js ## our Worker beside a floor and two peers, ten minutes; make bench PATIENCE=0.15 for a rough run
	BENCH_PATIENCE=$(or $(PATIENCE),1) node bench/run.ts

.PHONY: bench-check
bench-check: $(NODE_STAMP) ## compare the last make bench with the goals
	node bench/goals.ts

.PHONY: profile
profile: build/bundle/index.js ## where our CPU time goes, after make bench; make profile PEER=floor for another, REQUEST=page for a page
	node bench/profile.ts $(or $(PEER),ours) $(REQUEST)

# The database of make dev, also where that has another folder.
LOCAL = --local $(if $(PERSIST_TO),--persist-to '$(PERSIST_TO)')

.PHONY: admin
admin: rust $(NODE_STAMP) .dev.vars ## make organizations, users and keys in the local database: make admin ARGS="--help"
	@wrangler d1 migrations apply DB $(LOCAL) > /dev/null
	@$(call admin,$(LOCAL))

.PHONY: admin-remote
admin-remote: rust $(NODE_STAMP) ## the same in the deployed database
	@$(call admin,--remote)

# The SQL on standard output goes to D1. What a person must read (ids, a new key) is on standard error, and is shown once
# D1 has taken the SQL. Without SQL (--help) there is nothing to run.
define admin
	sql_file=$$(mktemp); trap 'rm -f "$$sql_file"' EXIT; \
	messages=$$(cargo run --quiet --bin admin -- $(ARGS) 2>&1 >"$$sql_file") || { echo "$$messages" >&2; exit 1; }; \
	sql=$$(<"$$sql_file"); \
	case "$$sql" in *';') wrangler d1 execute DB $(1) --command "$$sql" ;; *) echo "$$sql" ;; esac; \
	[ -z "$$messages" ] || echo "$$messages" >&2
endef

.PHONY: size
size: build/bundle/index.js ## the Worker's size, gzipped
	@for file in build/bundle/*.js build/bundle/*.wasm; do printf '%-20s %7d bytes, %7d gzipped\n' $$file $$(wc -c < $$file) $$(gzip -9c $$file | wc -c); done

.PHONY: clean
clean: ## remove what was built, and the local database and bucket; keep the installed tools
	rm -rf build public $(CLIENT)/dist target .wrangler

public/openapi.json: openapi.json
	@mkdir -p public && cp $< $@

# The client's types come from openapi.json.
$(CLIENT)/dist/index.js: openapi.json $(CLIENT_SOURCES) $(NODE_STAMP)
	$(CLIENT)/node_modules/.bin/openapi-typescript $< --default-non-nullable=false --output $(CLIENT)/src/schema.ts > /dev/null
	tsc --project $(CLIENT)
	@touch $@

public/index.html: $(WEB_SOURCES) $(CLIENT)/dist/index.js wrangler.toml
	node web/build.mjs
	@touch $@

# Variables that make dev is given count, so it is looked at each time, and written when it would differ.
.PHONY: public/_headers
public/_headers: public/index.html
	@node web/headers.mjs

build/index.js: $(SOURCES) $(NODE_STAMP) $(WORKER_BUILD) $(WASM_BINDGEN) $(WASM_STAMP)
	WASM_BINDGEN_BIN=$(WASM_BINDGEN)/bin/wasm-bindgen WASM_OPT_BIN=$(CURDIR)/node_modules/.bin/wasm-opt \
	  ESBUILD_BIN=$(CURDIR)/node_modules/.bin/esbuild RUN_TO_COMPLETION=1 $(WORKER_BUILD)/bin/worker-build --release
	@# worker-build keeps the names of functions, a tenth of the size. A second -O3 makes it 1% smaller and 2% faster;
	@# --gufa finds values that are always the same, 0.2 KB (gzipped).
	wasm-opt $(addprefix --enable-,$(WASM_FEATURES)) --strip-debug --strip-producers --gufa -O3 build/index_bg.wasm -o build/index_bg.wasm
	@touch $@

# The Worker as `wrangler deploy` would upload it, which the tests start without building it again.
build/bundle/index.js: build/index.js wrangler.toml public/openapi.json public/index.html
	rm -rf build/bundle
	wrangler deploy --dry-run --outdir build/bundle

# What is needed, each installed when it is missing.

.PHONY: rust
rust:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust with rustup, https://rustup.rs, then run make again' >&2; exit 1; }
	@cargo --version >/dev/null || { echo 'the toolchain of rust-toolchain.toml is missing: run `rustup toolchain install` here, then make again' >&2; exit 1; }

$(WASM_STAMP): rust-toolchain.toml | rust
	@echo 'Adding the wasm32-unknown-unknown target to Rust'
	rustup target add wasm32-unknown-unknown
	@mkdir -p $(TOOLS) && touch $@

# Debug builds without debug information: quickest to make, and quick enough to use.
$(WORKER_BUILD): | rust
	@echo 'Installing worker-build $(WORKER_BUILD_VERSION) into .tools (a few minutes, once)'
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --root $@ worker-build@$(WORKER_BUILD_VERSION) --debug --bin worker-build

$(WASM_BINDGEN): | rust
	@echo 'Installing wasm-bindgen $(WASM_BINDGEN_VERSION) into .tools (a minute, once)'
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --root $@ wasm-bindgen-cli@$(WASM_BINDGEN_VERSION) --debug --no-default-features --bin wasm-bindgen

$(FUZZ_STAMP): tests/fuzz/requirements.txt
	@python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' || { echo 'Python 3.10 or newer with venv is missing: install it (Debian: apt install python3-venv), then run make again; only make fuzz needs it' >&2; exit 1; }
	@echo 'Installing schemathesis into $(FUZZ_VENV)'
	rm -rf $(FUZZ_VENV)
	python3 -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.dev.vars: dev/dev.vars
	cp dev/dev.vars .dev.vars

$(NODE_STAMP): package.json package-lock.json
	@command -v npm >/dev/null || { echo 'npm is missing: install Node.js 20 or newer, https://nodejs.org, then run make again' >&2; exit 1; }
	@echo 'Installing npm packages'
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@
