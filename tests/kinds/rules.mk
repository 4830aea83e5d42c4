# tests/kinds: the kinds beside CPython's, `make bench-kinds`. Wants python3-dev: where that is not, the target says so, and nothing
# else notices. PYTHON_CONFIG chooses another CPython; KINDS=list runs what has that in its name.

PYTHON_CONFIG ?= /usr/bin/python3-config
PYTHON_FLAGS   = $(shell $(PYTHON_CONFIG) --includes)
PYTHON_LIBS    = $(shell $(PYTHON_CONFIG) --embed --ldflags)
KINDS_SRC     := $(wildcard tests/kinds/*.c)
KINDS_OBJ     := $(KINDS_SRC:%.c=$(B)/obj/%.o)

$(KINDS_OBJ): $(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BASE) -D_GNU_SOURCE $(CFLAGS) $(PYTHON_FLAGS) -MMD -MP -c $< -o $@

$(B)/tests/kinds: $(KINDS_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LINK) -o $@ $(KINDS_OBJ) $(LIB) $(PYTHON_LIBS) -lpthread

-include $(KINDS_OBJ:.o=.d)

.PHONY: bench-kinds
bench-kinds:
	$(Q)if $(PYTHON_CONFIG) --embed --ldflags >/dev/null 2>&1; then \
	    $(MAKE) --no-print-directory $(B)/tests/kinds && $(B)/tests/kinds $(KINDS); \
	else echo "bench-kinds: $(PYTHON_CONFIG) is missing (package python3-dev)"; fi
