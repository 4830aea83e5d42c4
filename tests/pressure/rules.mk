# tests/pressure: `make show-pressure`, what the daemon does when memory is short, on this machine. Minutes, root, cgroups: not a part
# of `make test`. SHOW names the parts: survive press idle cost share.

PRESSED     := $(B)/pressure/subject
PRESSED_SRC := $(wildcard tests/pressure/*.c) tests/demo/program.c
SHOW        ?= survive press idle cost share

$(PRESSED): $(PRESSED_SRC) $(wildcard tests/pressure/*.h tests/demo/*.h gc/service.h include/midden/*.h) $(LIB) $(DLIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(BASE) -D_GNU_SOURCE $(CFLAGS) $(LINK) -o $@ $(PRESSED_SRC) $(DLIB) $(LIB) $(EVENT_LIBS) -lpthread

programs: $(PRESSED)
.PHONY: show-pressure
show-pressure: $(PRESSED) $(B)/midden
	$(Q)python3 tests/pressure/show.py $(B) $(SHOW)
