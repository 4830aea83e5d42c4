# tests/stress/rules.mk: the model-based random tester, the tester with many threads, and seeded bugs; see README.md.
#
#   test-stress          the suite: seeds x modes of both testers, about a minute
#   stress-long          a million operations at each of five seeds under ASan+UBSan, fewer under valgrind
#   stress-threads-long  many threads for a minute at each of five seeds, under TSan and under ASan+UBSan
#   stress-delays        the same where each step of proposal and proof is delayed, and every set of 33 goes on trial
#   check-bugs           one bug at a time into a copy of the core: every one must be found

STRESS_SRC := $(wildcard tests/stress/*.c)
STRESS_DAEMON_SRC := $(filter-out tests/stress/clock.c,$(STRESS_SRC)) # beside a daemon the time is real
STRESS_CLOCK := -Wl,--wrap=mid_clock_nanos,--wrap=mid_clock_micros,--wrap=mid_thread_cpu_nanos
STRESS_THREADS_SRC := $(wildcard tests/stress/threads/*.c)
STRESS_VARIANTS := stress stress-debug stress-daemon

.PHONY: test-stress stress-long stress-threads-long stress-delays stress-delays-core stress-programs stress-core stress-threads-core

$(B)/obj/tests/stress/%.o: tests/stress/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BASE) $(CFLAGS) -MMD -MP -c $< -o $@
$(B)/obj/tests/stress-debug/%.o: tests/stress/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<-debug)$(CC) $(BASE) $(CFLAGS) -DMIDDEN_DEBUG -MMD -MP -c $< -o $@
$(B)/obj/tests/stress-daemon/%.o: tests/stress/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<-daemon)$(CC) $(BASE) $(CFLAGS) -DSTRESS_DAEMON -MMD -MP -c $< -o $@

$(B)/tests/stress: $(STRESS_SRC:tests/stress/%.c=$(B)/obj/tests/stress/%.o) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) $(STRESS_CLOCK) -o $@ $^ -lpthread
$(B)/tests/stress-debug: $(STRESS_SRC:tests/stress/%.c=$(B)/obj/tests/stress-debug/%.o) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) $(STRESS_CLOCK) -o $@ $^ -lpthread
$(B)/tests/stress-daemon: $(STRESS_DAEMON_SRC:tests/stress/%.c=$(B)/obj/tests/stress-daemon/%.o) $(DLIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) -o $@ $^ $(EVENT_LIBS) -lpthread

$(B)/tests/stress-threads: $(STRESS_THREADS_SRC:tests/stress/%.c=$(B)/obj/tests/stress/%.o) $(B)/obj/tests/stress/daemon.o $(B)/obj/tests/stress/delay.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) -o $@ $^ -lpthread
$(B)/tests/stress-threads-debug: $(STRESS_THREADS_SRC:tests/stress/%.c=$(B)/obj/tests/stress-debug/%.o) \
                                 $(B)/obj/tests/stress-debug/daemon.o $(B)/obj/tests/stress-debug/delay.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) -o $@ $^ -lpthread
$(B)/tests/stress-threads-daemon: $(STRESS_THREADS_SRC:tests/stress/%.c=$(B)/obj/tests/stress-daemon/%.o) \
                                  $(B)/obj/tests/stress-daemon/daemon.o $(B)/obj/tests/stress-daemon/delay.o $(DLIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) -o $@ $^ $(EVENT_LIBS) -lpthread

# ...-core: without libevent; what check-bugs builds.
stress-threads-core: $(B)/tests/stress-threads $(B)/tests/stress-threads-debug
stress-core: $(B)/tests/stress $(B)/tests/stress-debug
stress-programs: stress-core stress-threads-core $(B)/tests/stress-daemon $(B)/tests/stress-threads-daemon
programs: stress-programs

test-stress: stress-programs
	$(Q)tests/stress/suite.sh $(B)/tests

# Sanitizers want objects of their own: the same rules with another B.
stress-long:
	$(Q)$(MAKE) --no-print-directory B=$(B)/asan SANITIZE=address,undefined stress-core
	$(Q)$(MAKE) --no-print-directory stress-core
	$(Q)tests/stress/long.sh $(B)/asan/tests $(B)/tests

stress-threads-long:
	$(Q)$(MAKE) --no-print-directory B=$(B)/tsan SANITIZE=thread stress-programs
	$(Q)$(MAKE) --no-print-directory B=$(B)/asan SANITIZE=address,undefined stress-programs
	$(Q)tests/stress/threads/long.sh $(B)/tsan/tests $(B)/asan/tests

# Small sets go on trial, and walks are short, so that little garbage is enough.
DELAYED := -DMID_DELAYS -DMID_SWEEP_SMALL=32u -DMID_WALK_MOST=256u
stress-delays:
	$(Q)$(MAKE) --no-print-directory B=$(B)/delays DEFINES='$(DELAYED)' stress-programs
	$(Q)$(MAKE) --no-print-directory B=$(B)/delays/tsan SANITIZE=thread DEFINES='$(DELAYED)' stress-programs
	$(Q)$(MAKE) --no-print-directory B=$(B)/delays/asan SANITIZE=address,undefined DEFINES='$(DELAYED)' stress-programs
	$(Q)tests/stress/delays.sh $(B)/delays/tests $(B)/delays/tsan/tests $(B)/delays/asan/tests

# What check-bugs builds for bugs of the concurrent collector.
stress-delays-core:
	$(Q)$(MAKE) --no-print-directory B=$(B)/delays DEFINES='$(DELAYED)' stress-core stress-threads-core

check-bugs:
	$(Q)tests/stress/bugs.sh

-include $(foreach v,$(STRESS_VARIANTS),$(STRESS_THREADS_SRC:tests/stress/%.c=$(B)/obj/tests/$(v)/%.d))
-include $(foreach v,$(STRESS_VARIANTS),$(STRESS_SRC:tests/stress/%.c=$(B)/obj/tests/$(v)/%.d))
