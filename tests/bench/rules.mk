# tests/bench/rules.mk: the worker programs, one to each heap, and the targets bench, readme and test-bench.
# The cmd_*.c files become part of build/midden, which tests/lab/rules.mk links. Peers are never built with a sanitizer: it
# would put itself in place of the malloc that is measured.

BENCH_SRC  := tests/bench/cmd_catalog.c $(filter-out tests/bench/cmd_%.c tests/bench/backend_%.c tests/bench/faulty_worker.c,$(wildcard tests/bench/*.c))
bench_obj   = $(patsubst tests/bench/%.c,$(B)/obj/bench/$(1)/%.o,$(BENCH_SRC) tests/bench/backend_$(1).c)
BENCH_HEAPS := midden boehm malloc mimalloc jemalloc
BENCH_PLAIN := -std=gnu11 $(WARN) -Iinclude -I. $(OPT)
BENCH_BIN  := $(BENCH_HEAPS:%=$(B)/bench/worker-%)

programs: $(BENCH_BIN)
.PHONY: bench readme test-bench

define bench_backend
$(B)/obj/bench/$(1)/%.o: tests/bench/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,"$$< ($(1))")$$(CC) $(3) $$(CFLAGS) -D_GNU_SOURCE -DBENCH_$(2) -MMD -MP -c $$< -o $$@
-include $$(patsubst %.o,%.d,$$(call bench_obj,$(1)))
endef
$(eval $(call bench_backend,midden,MIDDEN,$$(BASE)))
$(eval $(call bench_backend,boehm,BOEHM,$$(BENCH_PLAIN)))
$(eval $(call bench_backend,malloc,MALLOC,$$(BENCH_PLAIN)))

$(B)/bench/worker-midden: $(call bench_obj,midden) $(DLIB) $(LIB)
$(B)/bench/worker-midden: BENCH_LIBS = $(LINK) $(EVENT_LIBS)
$(B)/bench/worker-boehm: $(call bench_obj,boehm)
$(B)/bench/worker-boehm: BENCH_LIBS = -lgc
$(B)/bench/worker-malloc: $(call bench_obj,malloc)
$(B)/bench/worker-mimalloc: $(call bench_obj,malloc)
$(B)/bench/worker-mimalloc: BENCH_LIBS = -Wl,--no-as-needed -lmimalloc
$(B)/bench/worker-jemalloc: $(call bench_obj,malloc)
$(B)/bench/worker-jemalloc: BENCH_LIBS = -Wl,--no-as-needed -ljemalloc
$(BENCH_BIN):
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -o $@ $^ $(BENCH_LIBS) -lpthread -lm

bench: deps
	$(Q)$(MAKE) --no-print-directory build
	$(Q)$(B)/midden bench $(BENCH_FLAGS) --json $(B)/bench.json
	$(Q)$(B)/midden bench --table $(B)/bench.json > $(B)/bench.md

readme:
	$(Q)tests/bench/update_readme.sh $(B)/bench.md README.md

$(B)/obj/bench/faulty_worker: tests/bench/faulty_worker.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(BENCH_PLAIN) $(CFLAGS) -o $@ $<

test-bench: $(BENCH_BIN) $(B)/midden $(B)/obj/bench/faulty_worker
	$(Q)python3 tests/bench/test_bench.py $(B)/midden $(B)/obj/bench/faulty_worker tests/bench/update_readme.sh
