# tests/docs/rules.mk: test-docs compiles and runs the programs in the documentation, and checks what it claims.

.PHONY: test-docs
test-docs: $(LIB) $(DLIB) $(B)/midden
	$(Q)python3 tests/docs/test_docs.py '$(B)' '$(CC)'
