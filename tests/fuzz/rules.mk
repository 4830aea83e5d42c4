# tests/fuzz: `make fuzz` runs each target for FUZZ_SECONDS. It needs clang with its libFuzzer, whatever the rest is built with.

FUZZ_SECONDS ?= 600
FUZZ_TARGETS := control options
FUZZ_BUILD   := $(B)/fuzz
FUZZ_FLAGS   := -std=gnu11 $(WARN) -Iinclude -I. -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined
# What is fuzzed is compiled once more, since coverage is what leads a fuzzer.
FUZZ_SOURCES := $(wildcard tests/fuzz/target_*.c) daemon/request.c daemon/reply.c daemon/reply_options.c gc/options.c gc/status.c

# What the fuzzer finds worth keeping goes to the build folder: `make fuzz-keep` takes what covers more than the corpora do into them.
.PHONY: fuzz fuzz-keep
fuzz: $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)
	$(Q)FUZZ_SECONDS='$(FUZZ_SECONDS)' tests/fuzz/run.sh $(FUZZ_BUILD) $(FUZZ_TARGETS)
fuzz-keep: $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)
	$(Q)for target in $(FUZZ_TARGETS); do \
	    $(FUZZ_BUILD)/$$target -set_cover_merge=1 -max_len=512 tests/fuzz/corpus/$$target $(FUZZ_BUILD)/found-$$target || exit 1; done

$(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%): $(FUZZ_BUILD)/%: tests/fuzz/fuzz_%.c $(FUZZ_SOURCES) $(wildcard tests/fuzz/*.h daemon/*.h include/midden/*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)command -v clang >/dev/null || { echo 'make fuzz needs clang' >&2; exit 1; }; \
	    clang $(FUZZ_FLAGS) -o $@ $< $(FUZZ_SOURCES) -ljansson
