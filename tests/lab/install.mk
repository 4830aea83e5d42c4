# tests/lab/install.mk: `make install DESTDIR= PREFIX=` and its exact opposite, `make uninstall` with the same two.

INSTALL_TO      := $(DESTDIR)$(PREFIX)
INSTALL_HEADERS := $(notdir $(wildcard include/midden/*.h))
INSTALL_HELPERS := $(LAB_WORKERS) $(BENCH_BIN)
INSTALL_LIBS    := $(notdir $(LIB) $(DLIB) $(SO) $(DSO)) libmidden.so libmidden.so.$(MAJOR) libmidden-daemon.so \
                   libmidden-daemon.so.$(MAJOR) libmidden-record.so
# Where gdb looks for the script of a library, if its prefix is ours; elsewhere it is sourced.
INSTALL_AUTOLOAD := share/gdb/auto-load$(PREFIX)/lib/$(notdir $(SO))-gdb.py
INSTALL_MADE    := $(B)/install/midden.pc $(B)/install/midden-daemon.pc

# What is written into these depends on PREFIX, which may be another one each time.
.PHONY: install-files
install-files:
	@mkdir -p $(B)/install
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: midden' \
	    'Description: a managed heap with handles, counts, a cycle collector and compaction' 'Version: $(VERSION)' \
	    'Libs: -L$${libdir} -lmidden' 'Libs.private: -lpthread' 'Cflags: -I$${includedir}' > $(B)/install/midden.pc
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' '' 'Name: midden-daemon' \
	    'Description: the background loop of a midden heap' 'Version: $(VERSION)' 'Requires: midden' \
	    'Libs: -L$${libdir} -lmidden-daemon' 'Libs.private: $(EVENT_LIBS) -lpthread' > $(B)/install/midden-daemon.pc

install: build install-files
	$(Q)install -d $(INSTALL_TO)/include/midden $(INSTALL_TO)/lib/pkgconfig $(INSTALL_TO)/bin \
	    $(INSTALL_TO)/libexec/midden $(INSTALL_TO)/share/man/man1 $(INSTALL_TO)/share/man/man7 \
	    $(INSTALL_TO)/share/midden $(dir $(INSTALL_TO)/$(INSTALL_AUTOLOAD))
	$(Q)install -m 644 $(INSTALL_HEADERS:%=include/midden/%) $(INSTALL_TO)/include/midden
	$(Q)install -m 644 $(LIB) $(DLIB) $(INSTALL_TO)/lib
	$(Q)install -m 755 $(SO) $(DSO) $(LAB_RECORDER) $(INSTALL_TO)/lib
	$(Q)for lib in libmidden libmidden-daemon; do \
	    ln -sf $$lib.so.$(VERSION) $(INSTALL_TO)/lib/$$lib.so.$(MAJOR) && \
	    ln -sf $$lib.so.$(MAJOR) $(INSTALL_TO)/lib/$$lib.so || exit 1; done
	$(Q)install -m 644 $(INSTALL_MADE) $(INSTALL_TO)/lib/pkgconfig
	$(Q)install -m 755 $(LAB_PROGRAM) $(INSTALL_TO)/bin
	$(Q)install -m 755 $(INSTALL_HELPERS) $(INSTALL_TO)/libexec/midden
	$(Q)install -m 644 gc/midden-gdb.py $(INSTALL_TO)/share/midden
	$(Q)ln -sf $(PREFIX)/share/midden/midden-gdb.py $(INSTALL_TO)/$(INSTALL_AUTOLOAD)
	$(Q)install -m 644 tests/lab/midden.1 $(INSTALL_TO)/share/man/man1
	$(Q)$(LAB_PROGRAM) options --man > $(INSTALL_TO)/share/man/man7/midden-options.7
	$(call say,INSTALL,$(INSTALL_TO))true

uninstall:
	$(Q)rm -f $(INSTALL_HEADERS:%=$(INSTALL_TO)/include/midden/%) $(INSTALL_LIBS:%=$(INSTALL_TO)/lib/%) \
	    $(foreach pc,$(notdir $(INSTALL_MADE)),$(INSTALL_TO)/lib/pkgconfig/$(pc)) \
	    $(INSTALL_TO)/bin/midden $(foreach h,$(notdir $(INSTALL_HELPERS)),$(INSTALL_TO)/libexec/midden/$(h)) \
	    $(INSTALL_TO)/share/man/man1/midden.1 $(INSTALL_TO)/share/man/man7/midden-options.7 \
	    $(INSTALL_TO)/share/midden/midden-gdb.py $(INSTALL_TO)/$(INSTALL_AUTOLOAD)
	$(Q)for dir in include/midden libexec/midden share/midden; do [ ! -d $(INSTALL_TO)/$$dir ] || rmdir $(INSTALL_TO)/$$dir; done
	$(Q)[ ! -d $(dir $(INSTALL_TO)/$(INSTALL_AUTOLOAD)) ] || (cd $(INSTALL_TO) && rmdir -p --ignore-fail-on-non-empty $(dir $(INSTALL_AUTOLOAD)))
