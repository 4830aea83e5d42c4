# tests/page/rules.mk: the daemon's page in a headless browser. One is fetched if there is none; if that cannot be, the test says so.

BROWSERS := chromium-headless-shell chromium chromium-browser google-chrome

.PHONY: test-page
test-page: $(WATCHED)
	$(Q)for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; tests/deps.sh chromium-headless-shell || true
	$(Q)tests/page/test_page.py $(B)
