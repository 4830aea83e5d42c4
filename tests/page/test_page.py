#!/usr/bin/env python3
"""test_page.py BUILD: the daemon's page in a browser, against a heap that is fragmented and compacted (tests/demo/watch.c).

Speaks Chromium's DevTools protocol through two pipes. Saves BUILD/page.png. Without a Chromium it says so, and nothing is tested.
Prints `N passed, N failed` at the end. Nothing depends on speed: what is awaited has a deadline that only a failure reaches."""
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1]
NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
DEADLINE = 90
passed = failed = 0


def check(good, what, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"page: {what}\n    {detail}")


class Browser:
    def __init__(self, program, folder):
        down, self.write = os.pipe()
        self.read, up = os.pipe()
        for end in [down, up, self.read, self.write]:
            os.set_inheritable(end, True)
        command = ["/bin/sh", "-c", f'exec "$0" "$@" 3<&{down} 4>&{up}', program, "--headless", "--remote-debugging-pipe", "--no-sandbox",
                   "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder}"]
        self.process = subprocess.Popen(command, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(down)
        os.close(up)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None

    def receive(self, until):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, until - time.monotonic()))
            piece = os.read(self.read, 1 << 20) if ready else b""
            if not piece:
                raise RuntimeError("the browser says nothing")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.write, json.dumps(request).encode() + b"\0")
        until = time.monotonic() + DEADLINE
        while True:
            message = self.receive(until)
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def open(self, address):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        self.screen(1200, 1330)
        self.call("Page.navigate", url=address)

    def screen(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def eventually(self, expression):
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            value = self.value(expression)
            if value:
                return value
            time.sleep(0.1)
        return None

    def press(self, key):
        for kind in ["keyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=False)["data"]))

    def close(self):
        os.close(self.write)
        os.close(self.read)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def test_life(page):
    check(page.eventually("document.documentElement && +document.documentElement.dataset.polls > 2"), "the page does not show the heap")
    check(page.value("document.getElementById('map').dataset.tiles % 256") == 0, "tiles are not whole arenas")
    check(page.value("document.getElementById('who').textContent.includes('process')"), "the page does not say whose heap it is")
    high = page.eventually("+document.getElementById('map').dataset.used > 300 && +document.getElementById('map').dataset.used")
    check(high, "the heap never fills on the map")
    # Pools empty without the program's help: it has let go of nine objects in ten, and the rest is packed.
    check(page.eventually("document.getElementById('log').textContent.includes('compact')"), "no compaction in the log")
    check(page.eventually(f"+document.getElementById('map').dataset.used < {(high or 0) // 2}"), "tiles do not empty on the map")
    check(page.eventually("flashes.size > 0"), "what has just emptied is never marked")
    check(page.eventually("+document.getElementById('map').dataset.used > 300"), "the map does not go on")
    check(page.eventually("document.querySelectorAll('#past rect.band').length > 0"), "pressure over time is not drawn")
    check(page.eventually("document.getElementById('pressure').textContent === 'Pressure: trim, by program'"), "who presses is not said")
    check(page.eventually("document.getElementById('pressure').dataset.level === 'calm'"), "that it is over is not said")


def pixels(page):
    return page.value("document.getElementById('map').toDataURL()")


def test_use(page):
    page.value("document.getElementById('pause').click()")
    check(page.value("document.getElementById('pause').getAttribute('aria-pressed')") == "true", "the page cannot be paused")
    time.sleep(1)  # a look that was under way ends
    pictures = set()
    for name in ["occupancy", "class", "age", "pins"]:
        page.value(f"document.querySelector('input[value={name}]').click()")
        pictures.add(pixels(page))
    check(len(pictures) == 4, "ways to colour the tiles are not told apart", f"{len(pictures)} pictures")
    page.value("document.querySelector('input[value=occupancy]').click()")
    page.value("document.getElementById('map').focus()")
    page.press("Home")
    first = page.value("document.getElementById('at').textContent")
    for key in ["ArrowRight", "ArrowDown"]:
        page.press(key)
    check(first.startswith("Tile 0 ") and page.value("chosen === 1 + grid.columns"), "arrow keys choose no tile", first)
    check("0x" in page.value("document.getElementById('at').textContent"), "a tile is not described")
    check(page.value("document.getElementById('regions').children.length") >= 5, "the process's regions are not shown")
    check(page.value("document.getElementById('layers').children.length") == 8, "the heap's layers are not shown")
    check(page.value("document.querySelectorAll('#past polyline').length") == 3, "no curve")
    check(page.value("document.querySelectorAll('#stops rect').length") >= 10, "no histogram")


def test_looks(page):
    for width in [320, 600, 1200]:
        page.screen(width, 900)
        wide = page.eventually(f"innerWidth === {width} && document.documentElement.scrollWidth")
        check(wide is not None and wide <= width, f"on a screen of {width} the page is wider", wide)
    backs = []
    for scheme in ["light", "dark"]:
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        backs.append(page.value("getComputedStyle(document.body).backgroundColor"))
    check(backs[0] != backs[1], "dark and light are the same", backs)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])


def test_quiet(page, address):
    """No error logged, nothing asked of others."""
    page.value("0")
    bad = [e for e in page.events if e["method"] == "Runtime.exceptionThrown"
           or (e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] in ["error", "warning"])
           or (e["method"] == "Log.entryAdded" and e["params"]["entry"]["level"] in ["error", "warning"])]
    check(not bad, "errors were logged", json.dumps(bad)[:1000])
    asked = {e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"}
    foreign = [url for url in asked if not url.startswith((address, "data:"))]
    check(len(asked) >= 3 and not foreign, "the page asks others", foreign)


def main():
    program = next((found for found in map(shutil.which, NAMES) if found), None)
    if program is None:
        print(f"page: skipped, none of {', '.join(NAMES)} is here")
        print("0 passed, 0 failed")
        return 0
    watched = subprocess.Popen([f"{BUILD}/demo/watch", "localhost:0"], stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Browser(program, folder)
        try:
            address = watched.stdout.readline().strip()
            check(address.startswith("http://localhost:"), "the program says no address", address)
            page.open(address)
            test_life(page)
            page.eventually("flashes.size > 3")
            page.picture(f"{BUILD}/page.png")
            test_use(page)
            test_looks(page)
            test_quiet(page, address)
        except RuntimeError as error:
            check(False, "the browser failed", error)
        finally:
            page.close()
            watched.kill()
            watched.wait()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
