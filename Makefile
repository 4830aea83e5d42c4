# midden: a managed heap that moves. `make run` shows it, `make test` checks it; both install what they need.
#
#   all  run  test  bench  deps  install  uninstall  clean  lint
#   check-asan  check-tsan  check-valgrind  check-bugs     V=1 shows the commands
#
# Everything built goes to $(B). Variants are the same rules with another B: make B=build/clang CC=clang

B        ?= build
CC       ?= gcc
ifeq ($(origin CC),default)
CC       := gcc
endif
PREFIX   ?= /usr/local
DESTDIR  ?=
VERSION  := $(shell awk '/define MID_VERSION_STRING/ {gsub(/"/, "", $$3); print $$3}' include/midden/version.h)
MAJOR    := $(firstword $(subst ., ,$(VERSION)))

# Aligned to cache lines: how fast a function is shall not depend on what is compiled before it.
OPT      ?= -O2 -falign-functions=64
SANITIZE ?=
WARN     := -Wall -Wextra -Werror
CFLAGS   ?= -g
BASE     := -std=gnu11 $(WARN) -Iinclude -I. $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -O1,$(OPT)) $(DEFINES)
LIBFLAGS := $(BASE) -fPIC -fvisibility=hidden -D_GNU_SOURCE
LINK     := $(if $(SANITIZE),-fsanitize=$(SANITIZE))

V        ?= 0
Q        := $(if $(filter 1,$(V)),,@)
say       = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2);)

CORE_SRC   := $(wildcard alloc/*.c gc/*.c gc/kinds/*.c)
DAEMON_SRC := $(wildcard daemon/*.c)
CORE_OBJ   := $(CORE_SRC:%.c=$(B)/obj/%.o)
DAEMON_OBJ := $(DAEMON_SRC:%.c=$(B)/obj/%.o) $(B)/obj/daemon/page.o
LIB        := $(B)/lib/libmidden.a
DLIB       := $(B)/lib/libmidden-daemon.a
SO         := $(B)/lib/libmidden.so.$(VERSION)
DSO        := $(B)/lib/libmidden-daemon.so.$(VERSION)
EVENT_LIBS := -levent_core -levent_extra -levent_pthreads -ljansson -ldw

PACKAGES := gcc libc6-dev pkg-config libgc-dev libevent-dev libcmocka-dev spin libmimalloc-dev libjemalloc-dev \
            libjansson-dev libdw-dev gnuplot-nox valgrind python3 python3-dev

# A machine that lacks a package gets it before anything is compiled, whatever target was asked for.
all: deps
	$(Q)$(MAKE) --no-print-directory build

build: libs programs

libs: $(LIB) $(DLIB) $(SO) $(DSO)
programs:
.PHONY: all build libs programs run test bench deps install uninstall clean lint check check-asan check-tsan check-valgrind check-bugs

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(LIBFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# The page that the daemon serves, as an array that ends with a zero byte.
$(B)/gen/page.c: daemon/page.html
	@mkdir -p $(@D)
	$(call say,GEN,$@){ echo 'extern const unsigned char mid_page[];'; echo 'const unsigned char mid_page[] = {'; od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '0};'; } > $@.new && mv $@.new $@
$(B)/obj/daemon/page.o: $(B)/gen/page.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(LIBFLAGS) $(CFLAGS) -c $< -o $@

$(LIB): $(CORE_OBJ)
$(DLIB): $(DAEMON_OBJ)
$(LIB) $(DLIB):
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $^

$(SO): $(CORE_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -shared $(LINK) -Wl,-soname,libmidden.so.$(MAJOR) -o $@ $^ -lpthread
	$(Q)ln -sf $(@F) $(@D)/libmidden.so.$(MAJOR) && ln -sf $(@F) $(@D)/libmidden.so
$(DSO): $(DAEMON_OBJ) $(SO)
	$(call say,LD,$@)$(CC) -shared $(LINK) -Wl,-soname,libmidden-daemon.so.$(MAJOR) -o $@ $(DAEMON_OBJ) -L$(B)/lib -lmidden $(EVENT_LIBS) -lpthread
	$(Q)ln -sf $(@F) $(@D)/libmidden-daemon.so.$(MAJOR) && ln -sf $(@F) $(@D)/libmidden-daemon.so

# Each folder of tests/ brings its own rules: unit and stress tests, the benchmark, the recorder.
include $(wildcard tests/*/rules.mk)

deps:
	$(Q)tests/deps.sh $(PACKAGES)

clean:
	rm -rf $(B)

-include $(CORE_OBJ:.o=.d) $(DAEMON_OBJ:.o=.d)
