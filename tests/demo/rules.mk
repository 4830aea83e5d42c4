# tests/demo/rules.mk: `make watch`, a heap to look at with a browser (WATCH=localhost:7007), and the test of its page.

WATCH    ?= localhost:7007
WATCHED  := $(B)/demo/watch
WATCHED_SRC := tests/demo/watch.c tests/demo/program.c

$(WATCHED): $(WATCHED_SRC) $(wildcard tests/demo/*.h include/midden/*.h) $(LIB) $(DLIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(BASE) -D_GNU_SOURCE $(CFLAGS) $(LINK) -o $@ $(WATCHED_SRC) $(DLIB) $(LIB) $(EVENT_LIBS) -lpthread

programs: $(WATCHED)
.PHONY: watch
watch: $(WATCHED)
	$(Q)$(WATCHED) $(WATCH)

# What freezing is worth to a child that reads a heap of 2^DEPTH nodes.
FROZEN := $(B)/demo/frozen
$(FROZEN): tests/demo/frozen.c $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(BASE) -D_GNU_SOURCE $(CFLAGS) $(LINK) -MMD -MP -MF $@.d -o $@ $< $(LIB) -lpthread
-include $(FROZEN).d

programs: $(FROZEN)
.PHONY: show-frozen
show-frozen: $(FROZEN)
	$(Q)$(FROZEN) $(DEPTH)
