# tests/unit: one cmocka program for each test_*.c, linked with every other .c file here. A file named *_debug.c is
# compiled with MIDDEN_DEBUG. Also here: `test`, `check` and their kin, which run the suites of all folders.

# ThreadSanitizer does not follow threads across fork: test_fork and its kin are not built with it.
UNIT_TESTS   := $(filter-out $(if $(findstring thread,$(SANITIZE)),tests/unit/test_fork.c tests/unit/test_http_fork.c tests/unit/test_fork_control.c tests/unit/test_fork_balance.c tests/unit/test_fork_freeze.c tests/unit/test_fork_dict.c tests/unit/test_fork_policy.c),$(wildcard tests/unit/test_*.c))
UNIT_HELPERS := $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
UNIT_PROGS   := $(UNIT_TESTS:tests/unit/%.c=$(B)/unit/%)
UNIT_OBJ     := $(UNIT_TESTS:%.c=$(B)/obj/%.o)
UNIT_HOBJ    := $(UNIT_HELPERS:%.c=$(B)/obj/%.o)

# What test_corpus replays.
FUZZ_TARGET_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/fuzz/target_*.c))
$(B)/unit/test_corpus: $(FUZZ_TARGET_OBJ)
.SECONDARY: $(UNIT_OBJ) $(UNIT_HOBJ)

$(B)/obj/tests/unit/%_debug.o: BASE += -DMIDDEN_DEBUG
$(UNIT_OBJ) $(UNIT_HOBJ) $(FUZZ_TARGET_OBJ): $(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BASE) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/unit/%: $(B)/obj/tests/unit/%.o $(UNIT_HOBJ) $(LIB) $(DLIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) -o $@ $(filter %.o,$^) -lcmocka $(DLIB) $(LIB) $(EVENT_LIBS) -lpthread

-include $(UNIT_OBJ:.o=.d) $(UNIT_HOBJ:.o=.d) $(FUZZ_TARGET_OBJ:.o=.d)

VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes

.PHONY: test-unit test-unit-valgrind test-stress-valgrind
test-unit: $(UNIT_PROGS)
	$(Q)tests/unit/run.sh $(UNIT_PROGS)

test-unit-valgrind: $(UNIT_PROGS)
	$(Q)UNIT_TIMEOUT=900 RUN_UNDER='$(VALGRIND)' tests/unit/run.sh $(UNIT_PROGS)

test-stress-valgrind: stress-core
	$(Q)good=0; bad=0; for seed in 121 122 123; do \
	    if $(VALGRIND) $(B)/tests/stress --seed $$seed --ops 5000 --live 500; then good=$$((good + 1)); else bad=$$((bad + 1)); fi; \
	done; echo "$$good passed, $$bad failed"; [ $$bad = 0 ]

# Sanitizers stop at the first finding, whichever suite meets it.
export ASAN_OPTIONS  ?= detect_leaks=1:abort_on_error=1
export UBSAN_OPTIONS ?= halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS  ?= halt_on_error=1

test: deps
	$(Q)$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) build
	$(Q)$(MAKE) --no-print-directory check

check: build
	$(Q)MAKE='$(MAKE)' tests/run.sh test-unit test-stress test-bench test-lab test-docs test-page

check-asan:
	$(Q)MAKE='$(MAKE) B=$(B)/asan SANITIZE=address,undefined' tests/run.sh test-unit test-stress test-lab

check-tsan:
	$(Q)MAKE='$(MAKE) B=$(B)/tsan SANITIZE=thread' tests/run.sh test-unit test-stress

check-valgrind:
	$(Q)MAKE='$(MAKE)' tests/run.sh test-unit-valgrind test-stress-valgrind

lint:
	$(Q)tests/lint.sh $(B)
lint: libs
