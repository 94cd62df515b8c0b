# Builds the helper, `make helper` → dist/vitrine-helper, and the launcher, dist/vitrine. Included by the Makefile, from
# the top of the tree.
#
# musl's start-up takes a fifth of glibc's and its resident memory a tenth, which every container pays: it is used
# where it is installed (Debian: musl-dev). HELPER_LIBC=glibc or musl says which; both give a static-pie program.

HELPER_SOURCES := $(sort $(filter-out native/probe% native/launch%,$(wildcard native/*.c)))
HELPER_HEADERS := $(sort $(wildcard native/*.h))
HELPER_MUSL := $(patsubst %/rcrt1.o,%,$(firstword $(wildcard /usr/lib/$(shell uname -m)-linux-musl/rcrt1.o /usr/lib/musl/lib/rcrt1.o)))
HELPER_LIBC ?= $(if $(HELPER_MUSL),musl,glibc)
CLANG ?= clang

# An option that this compiler knows, else nothing.
helper_option = $(shell $(CC) -Werror $(1) -x c -c /dev/null -o /dev/null 2>/dev/null && echo $(1))

HELPER_WARNINGS := -std=c11 -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wformat=2 -Wvla -Wundef \
  $(call helper_option,-Wno-format-truncation)
HELPER_DEFINES := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
HELPER_HARDENING := -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fno-strict-overflow \
  $(call helper_option,-ftrivial-auto-var-init=zero) $(call helper_option,-fstack-clash-protection) \
  $(if $(filter x86_64,$(shell uname -m)),-fcf-protection,-mbranch-protection=standard)
HELPER_CFLAGS ?= -O2 -g0 -ffunction-sections -fdata-sections
HELPER_LINK := -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--build-id=none -s

ifeq ($(HELPER_LIBC),musl)
# By hand, because musl-gcc cannot link static-pie.
# The compiler's own headers, behind musl's: what its processors' instructions are called.
HELPER_CC = $(CC) -nostdinc -isystem $(firstword $(wildcard /usr/include/$(shell uname -m)-linux-musl /usr/lib/musl/include)) \
  -isystem $(shell $(CC) -print-file-name=include)
HELPER_BEFORE = -nostdlib $(HELPER_MUSL)/rcrt1.o $(HELPER_MUSL)/crti.o
HELPER_AFTER = $(HELPER_MUSL)/libc.a $(shell $(CC) -print-libgcc-file-name) $(HELPER_MUSL)/libc.a $(HELPER_MUSL)/crtn.o
else
HELPER_CC = $(CC)
HELPER_BEFORE =
HELPER_AFTER =
endif

HELPER_OBJECTS := $(patsubst native/%.c,build/helper/%.o,$(HELPER_SOURCES))

.PHONY: helper helper-asan helper-fuzz helper-sanitized helper-test
helper: dist/vitrine-helper

build/helper/%.o: native/%.c $(HELPER_HEADERS) native/build.mk
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(HELPER_CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) $(HELPER_HARDENING) $(HELPER_CFLAGS) -c -o $@ $<

dist/vitrine-helper: $(HELPER_OBJECTS)
	@mkdir -p $(@D)
	@echo "  LD $@ ($(HELPER_LIBC))"
	@$(HELPER_CC) -static-pie $(HELPER_LINK) -o $@.new $(HELPER_BEFORE) $^ $(HELPER_AFTER)
	@mv $@.new $@

LAUNCHER_OBJECTS := $(patsubst native/%.c,build/helper/%.o,$(sort $(wildcard native/launch*.c)) native/sha256.c)
dist/vitrine: $(LAUNCHER_OBJECTS)
	@mkdir -p $(@D)
	@echo "  LD $@ ($(HELPER_LIBC))"
	@$(HELPER_CC) -static-pie $(HELPER_LINK) -o $@.new $(HELPER_BEFORE) $^ $(HELPER_AFTER)
	@mv $@.new $@

# The same by another name: src/cli/runtime.
dist/vitrine-runtime: dist/vitrine
	ln -sfn vitrine $@

# The same program under AddressSanitizer and UndefinedBehaviorSanitizer, for the integration tests.
HELPER_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
helper-asan: build/vitrine-helper-asan
build/vitrine-helper-asan: $(HELPER_SOURCES) $(HELPER_HEADERS) native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -DCONVEY_UNSEALED -O1 -g $(HELPER_SANITIZE) -pthread -o $@ $(HELPER_SOURCES)

# A helper that believes its kernel older than the mount API: the tests of native/classic.c.
build/vitrine-helper-classic: $(HELPER_SOURCES) $(HELPER_HEADERS) native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -DVITRINE_CLASSIC_MOUNTS -Wno-unused-value -O1 -o $@ $(HELPER_SOURCES)

# The decoder against hostile bytes: a deterministic mutation loop everywhere, libFuzzer where clang is.
HELPER_DECODER := native/wire.c native/plan.c
build/helper-test: native/test/decoder.c $(HELPER_DECODER) $(HELPER_HEADERS) native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -Inative -O1 -g $(HELPER_SANITIZE) -o $@ native/test/decoder.c $(HELPER_DECODER)

# Of the fuzzers; empty: another one each time.
FUZZ_SEED ?=
helper-test: build/helper-test build/inflate-test build/launch-test build/chunks-test build/hashing-test
	build/helper-test
	build/chunks-test
	build/hashing-test
	build/launch-test
	@VITRINE_FUZZ_SECONDS=5 $(if $(FUZZ_SEED),VITRINE_FUZZ_SEED=$(FUZZ_SEED)) node_modules/.bin/node test/fuzz/inflate.ts build/inflate-test

build/chunks-test: native/test/chunks.c native/chunks.c native/chunks.h native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -Inative -O1 -g $(HELPER_SANITIZE) -o $@ native/test/chunks.c native/chunks.c

build/hashing-test: native/test/hashing.c native/hashing.c native/hashing.h native/sha256.c native/sha256.h native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -Inative -O1 -g $(HELPER_SANITIZE) -pthread -o $@ native/test/hashing.c native/hashing.c native/sha256.c

# What inflates, beside zlib: test/fuzz/inflate.ts.
INFLATE_SOURCES := native/inflate.c native/inflate_codes.c native/inflate_block.c native/crc32.c native/sha256.c
build/inflate-test: native/test/inflate.c $(INFLATE_SOURCES) $(HELPER_HEADERS) native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -Inative -O1 -g $(HELPER_SANITIZE) -o $@ native/test/inflate.c $(INFLATE_SOURCES)

LAUNCH_DECODER := $(filter-out native/launcher%,$(wildcard native/launch*.c)) native/sha256.c
build/launch-test: native/test/launch.c $(LAUNCH_DECODER) native/launch.h native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -Inative -O1 -g $(HELPER_SANITIZE) -o $@ native/test/launch.c $(LAUNCH_DECODER)

# The integration tests of the helper with the sanitized build and with the one for old kernels.
helper-sanitized: build/vitrine-helper-asan build/vitrine-helper-classic
	@for helper in $^; do echo "$$helper"; VITRINE_TEST_HELPER=$(CURDIR)/$$helper node_modules/.bin/node --test \
	  --test-concurrency=2 --test-timeout=300000 test/integration/helper.test.ts test/integration/helper-apply.test.ts || exit 1; done
	VITRINE_TEST_HELPER=$(CURDIR)/build/vitrine-helper-asan node_modules/.bin/bun test --timeout 60000 src/registry/server/convey

# config.json, mutated, all the way to the helper's decoder: test/fuzz/config.ts.
.PHONY: config-fuzz plan-decoder
plan-decoder: build/plan-decoder
build/plan-decoder: native/test/decode.c native/test/fuzz.c $(HELPER_DECODER) $(HELPER_HEADERS) native/build.mk
	@mkdir -p $(@D)
	$(CC) $(HELPER_WARNINGS) $(HELPER_DEFINES) -Inative -O1 -g $(HELPER_SANITIZE) -o $@ native/test/decode.c $(HELPER_DECODER)

CONFIG_FUZZ_SECONDS ?= 40
config-fuzz: build/plan-decoder
	@VITRINE_FUZZ_SECONDS=$(CONFIG_FUZZ_SECONDS) $(if $(FUZZ_SEED),VITRINE_FUZZ_SEED=$(FUZZ_SEED)) node_modules/.bin/node test/fuzz/config.ts build/plan-decoder

HELPER_FUZZ_SECONDS ?= 20
helper-fuzz: config-fuzz native/test/fuzz.c $(HELPER_DECODER) $(HELPER_HEADERS)
	@mkdir -p build/fuzz-corpus
	@cp test/fuzz/plans/* build/fuzz-corpus/
	@if command -v $(CLANG) >/dev/null; then \
	  $(CLANG) $(HELPER_DEFINES) -std=c11 -Inative -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	    -o build/helper-fuzz native/test/fuzz.c $(HELPER_DECODER) && \
	  build/helper-fuzz -max_total_time=$(HELPER_FUZZ_SECONDS) $(if $(FUZZ_SEED),-seed=$(FUZZ_SEED)) -max_len=4096 -print_final_stats=1 build/fuzz-corpus; \
	else echo "clang is missing: helper-test's mutation loop stands in for the fuzzer"; $(MAKE) helper-test; fi
