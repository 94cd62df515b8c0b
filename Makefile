# vitrine: `make demo` runs the main job, `make test` passes the tests, `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PREFIX ?= /usr/local
CC ?= cc

BIN := node_modules/.bin
BUN := $(BIN)/bun
NODE := $(BIN)/node
BUILD_FLAGS := --compile --minify --bytecode --format=esm --splitting \
	--no-compile-autoload-bunfig --no-compile-autoload-dotenv \
	--min-chunk-size=100000 --no-optimize-bytecode # fewer and plainer chunks start 2 ms sooner
SOURCES := $(shell find src -name '*.ts' -not -name '*.test.ts' 2>/dev/null)

include native/build.mk

help: ## lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

install-deps: node_modules/.package-lock.json ## what package-lock.json names, by npm
node_modules/.package-lock.json: package.json package-lock.json
# Not `npm ci`: it refuses a lock file without the platforms that a registry does not carry.
	npm install --no-save --no-audit --no-fund
	@touch $@

build: dist/vitrine dist/vitrine-runtime dist/vitrine-engine dist/vitrine-helper dist/library/mod.js ## builds dist/vitrine, its engine and its helper, and the library

build/probe: native/probe.c
	@mkdir -p build
	$(CC) -std=gnu11 -static -Os -s -Wall -Wextra -Werror -Wl,--build-id=none -o $@ $<

build/hello-image.ts: build/probe scripts/build-hello.ts | install-deps
	$(NODE) scripts/build-hello.ts build/probe $@

build/start-order: $(SOURCES) build/hello-image.ts scripts/record-start.sh | install-deps dist/vitrine-helper
	$(BUN) build src/cli/start.ts $(BUILD_FLAGS) --outfile build/unordered-engine
	scripts/record-start.sh build/unordered-engine dist/vitrine-helper $@
	@rm -f build/unordered-engine

dist/vitrine-engine: build/start-order
	@mkdir -p dist
	$(BUN) build src/cli/start.ts $(BUILD_FLAGS) $$(test -s $< && echo --bytecode-order=$<) --outfile $@

# What `import "vitrine"` gives, for node and bun: self-contained, with the types of its doors.
dist/library/mod.js: $(SOURCES) build/hello-image.ts tsconfig.library.json | install-deps
	@rm -rf dist/library
	$(BIN)/tsc -p tsconfig.library.json
	$(BUN) build src/api/library/mod.ts src/api/library/failed.ts --target=node --format=esm --splitting --outdir dist/library >/dev/null

demo: build ## builds everything and runs the embedded hello image
	dist/vitrine run --rm hello

test: build ## every check and every test: lint, types, unit, helper, integration, attack, vm
	scripts/test.sh

lint: install-deps ## format, lint, and the import rule of the cake
	$(BIN)/biome ci src test scripts bench

types: install-deps build/hello-image.ts ## the type checker
	$(BIN)/tsc -p .

unit: install-deps build/hello-image.ts ## the unit tests, on node and on bun
	$(NODE) --test 'src/**/*.test.ts'
	$(BUN) test --timeout 60000 src

conformance: install-deps build ## the specs, against ours, or REGISTRY=host:port and RUNTIME=runc
	scripts/fixtures.sh
	$(NODE) --test 'test/conformance/distribution/*.test.ts'
	$(NODE) --test 'test/conformance/runtime/*.test.ts'

vm: install-deps build ## the tests that need a kernel of their own (cgroup v2, systemd, AppArmor), in QEMU
	scripts/fixtures.sh
	scripts/vm-image.sh
	$(NODE) test/vm/run.ts

vm-all: install-deps build ## most of test/integration on Linux 6.1 and cgroup v2, in QEMU: an hour
	scripts/vm-image.sh
	scripts/fixtures.sh
	$(NODE) test/vm/run.ts all

format: install-deps ## formats the sources
	$(BIN)/biome check --write src test scripts bench

bench: build ## measures the budgets and writes docs/performance.md
	$(NODE) bench/run.ts

install: build docs ## installs under PREFIX (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/vitrine $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -d $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 755 dist/vitrine $(DESTDIR)$(PREFIX)/bin/vitrine
	ln -sfn vitrine $(DESTDIR)$(PREFIX)/bin/vitrine-runtime
	install -m 755 dist/vitrine-engine $(DESTDIR)$(PREFIX)/libexec/vitrine/vitrine-engine
	install -m 755 dist/vitrine-helper $(DESTDIR)$(PREFIX)/libexec/vitrine/vitrine-helper
	install -m 644 build/vitrine.1 $(DESTDIR)$(PREFIX)/share/man/man1/vitrine.1
	install -m 644 build/completions/vitrine.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vitrine
	install -m 644 build/completions/_vitrine $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_vitrine
	install -m 644 build/completions/vitrine.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/vitrine.fish

docs: install-deps build/hello-image.ts ## completions and the man page, from the command table
	$(NODE) scripts/generate-docs.ts

generate: install-deps ## the op table -> native/ops.gen.h and docs/ops.md; the default seccomp filters
	$(NODE) scripts/generate-ops.ts
	$(NODE) scripts/generate-seccomp.ts

clean: ## removes what was built
	rm -rf dist build

.PHONY: conformance vm vm-all help install-deps build demo test lint types unit format bench install docs generate clean
