# tests/pressure: `make show-pressure`, what the daemon does when memory is short, on this machine. Minutes, root, cgroups: not a part
# of `make test`. SHOW names the parts: survive press idle cost.

PRESSED := $(B)/pressure/subject
SHOW    ?= survive press idle cost

$(PRESSED): tests/pressure/subject.c $(LIB) $(DLIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(BASE) -D_GNU_SOURCE $(CFLAGS) $(LINK) -MMD -MP -MF $@.d -o $@ $< $(DLIB) $(LIB) $(EVENT_LIBS) -lpthread
-include $(PRESSED).d

programs: $(PRESSED)
.PHONY: show-pressure
show-pressure: $(PRESSED)
	$(Q)python3 tests/pressure/show.py $(B) $(SHOW)
