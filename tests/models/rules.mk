# tests/models/rules.mk: check-models explores the models of the protocols, and refutes their mutations.

.PHONY: check-models
check-models:
	$(Q)CC='$(CC)' tests/models/check.sh
