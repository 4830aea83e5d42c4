# tests/fuzz: `make fuzz` runs each target for FUZZ_SECONDS. It needs clang with its libFuzzer, whatever the rest is built with.

FUZZ_SECONDS ?= 600
FUZZ_TARGETS := control options figures pressure http
FUZZ_BUILD   := $(B)/fuzz
FUZZ_FLAGS   := -std=gnu11 $(WARN) -Iinclude -I. -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined
# What is fuzzed is compiled once more, since coverage is what leads a fuzzer. The rest of what a daemon needs is linked as it is.
FUZZ_SOURCES_control  := daemon/request.c daemon/trace_request.c daemon/json.c daemon/reply.c daemon/reply_options.c gc/options.c gc/status.c
FUZZ_SOURCES_options  := gc/options.c
FUZZ_SOURCES_figures  := daemon/figures.c
FUZZ_SOURCES_pressure := daemon/pressure.c gc/options.c
FUZZ_SOURCES_http     := $(wildcard daemon/*.c) $(B)/gen/page.c
FUZZ_LIBS_http        := $(LIB) $(EVENT_LIBS) -lpthread

# What the fuzzer finds worth keeping goes to the build folder: `make fuzz-keep` takes what covers more than the corpora do into them.
.PHONY: fuzz fuzz-keep
fuzz: $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)
	$(Q)FUZZ_SECONDS='$(FUZZ_SECONDS)' tests/fuzz/run.sh $(FUZZ_BUILD) $(FUZZ_TARGETS)
fuzz-keep: $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)
	$(Q)for target in $(FUZZ_TARGETS); do \
	    $(FUZZ_BUILD)/$$target -set_cover_merge=1 -max_len=512 tests/fuzz/corpus/$$target $(FUZZ_BUILD)/found-$$target || exit 1; done

.SECONDEXPANSION:
$(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%): $(FUZZ_BUILD)/%: tests/fuzz/fuzz_%.c tests/fuzz/target_%.c $$(FUZZ_SOURCES_$$*) $$(filter %.a,$$(FUZZ_LIBS_$$*)) \
        $(wildcard tests/fuzz/*.h daemon/*.h include/midden/*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)command -v clang >/dev/null || { echo 'make fuzz needs clang' >&2; exit 1; }; \
	    clang $(FUZZ_FLAGS) -o $@ $(filter %.c,$^) $(FUZZ_LIBS_$*) -ljansson
