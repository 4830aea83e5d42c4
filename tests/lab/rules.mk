# tests/lab: the program `midden`, the recorder, the replay workers, and their tests.
#
# What is loaded into other programs, or linked with another allocator, is never built with a sanitizer.

LAB_PROGRAM  := $(B)/midden
LAB_RECORDER := $(B)/libmidden-record.so
LAB_HEAPS    := midden boehm malloc mimalloc jemalloc
LAB_WORKERS  := $(LAB_HEAPS:%=$(B)/lab/replay-%)
LAB_SRC      := tests/lab/main.c $(wildcard tests/lab/cmd_*.c tests/lab/report_*.c tests/lab/simulate_*.c) tests/lab/trace_reader.c \
                tests/lab/plan.c tests/lab/plan_overlap.c tests/lab/replay_json.c $(wildcard tests/bench/cmd_*.c)
LAB_OBJ      := $(LAB_SRC:%.c=$(B)/obj/%.o)
LAB_SUBJECT  := $(B)/lab/subject
LAB_PLAIN    := -std=gnu11 $(WARN) -Iinclude -I. $(OPT) -D_GNU_SOURCE

LAB_LIBS_midden   := $(DLIB) $(LIB) $(EVENT_LIBS)
LAB_LIBS_boehm    := -lgc
LAB_LIBS_malloc   :=
LAB_LIBS_mimalloc := -Wl,--no-as-needed -lmimalloc
LAB_LIBS_jemalloc := -Wl,--no-as-needed -ljemalloc
LAB_HEADER_mimalloc := malloc
LAB_HEADER_jemalloc := malloc

programs: $(LAB_PROGRAM) $(LAB_RECORDER) $(LAB_WORKERS)

$(LAB_OBJ): $(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BASE) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -c $< -o $@

$(LAB_PROGRAM): $(LAB_OBJ) $(LIB) $(DLIB)
	$(call say,LD,$@)$(CC) $(LINK) -o $@ $(LAB_OBJ) $(DLIB) $(LIB) $(EVENT_LIBS) -ljansson -lpthread -lm

$(LAB_RECORDER): $(wildcard tests/lab/recorder*.c)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LAB_PLAIN) -fPIC -fvisibility=hidden -fno-builtin $(CFLAGS) -MMD -MP -MF $(B)/lab-recorder.d -MT $@ \
	    -shared -Wl,-soname,$(@F) -o $@ $(filter %.c,$^) -ldl -lpthread

$(LAB_WORKERS): $(B)/lab/replay-%: tests/lab/replay_worker.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(if $(filter midden,$*),$(BASE) -D_GNU_SOURCE $(LINK),$(LAB_PLAIN)) $(CFLAGS) -MMD -MP -MF $@.d -MT $@ \
	    -DREPLAY_BACK_END='"replay_$(or $(LAB_HEADER_$*),$*).h"' -o $@ $< $(LAB_LIBS_$*) -lpthread
$(B)/lab/replay-midden: $(LIB) $(DLIB)

$(LAB_SUBJECT): tests/lab/subject.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LAB_PLAIN) -fno-builtin $(CFLAGS) -o $@ $< -lpthread

.PHONY: test-lab
test-lab: $(LAB_PROGRAM) $(LAB_RECORDER) $(LAB_WORKERS) $(LAB_SUBJECT) $(SO) $(DSO)
	$(Q)B='$(B)' CC='$(CC)' MAKE='$(MAKE)' SANITIZE='$(SANITIZE)' tests/lab/test_lab.sh

# The demonstration. Like `all`, it gets what is missing before anything is compiled.
run: deps
	$(Q)$(MAKE) --no-print-directory build
	$(Q)B='$(B)' CC='$(CC)' tests/demo/demo.sh

include tests/lab/install.mk
-include $(LAB_OBJ:.o=.d) $(LAB_WORKERS:=.d) $(B)/lab-recorder.d
