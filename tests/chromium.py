"""A headless Chromium on two pipes, spoken to in its own protocol: no package, no port."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 60
KEYS = {"Escape": 27, "Enter": 13, "ArrowRight": 39, "ArrowDown": 40}


def find():
    """Path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def opened(folder):
    """Yield a `Browser` whose profile lies in an empty folder."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()

    def place():  # Chromium reads commands from descriptor 3 and answers on 4.
        # First to free places above, since either pipe may be at 3 or 4 itself.
        spare = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in (theirs_in, theirs_out)]
        for number, fd in enumerate(spare):
            os.dup2(fd, 3 + number)

    words = [find(), *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(
        words, preexec_fn=place, pass_fds=(3, 4), stderr=subprocess.DEVNULL
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(ours_in, ours_out)
        finally:
            process.kill()
            os.close(ours_in)
            os.close(ours_out)


class Browser:
    """One page. `requests` and `complaints` collect what it asks for and complains about."""

    def __init__(self, ours_in, ours_out):
        self._in, self._out, self._left, self._count = ours_in, ours_out, b"", 0
        self._session = None
        self.requests, self.complaints, self._loaded = [], [], False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """Send one command and return its result; events on the way are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, address):
        """Load a page and wait until it is drawn; returns the seconds to its load event."""
        self._loaded, start = False, time.perf_counter()
        answer = self.send("Page.navigate", url=address)
        while "loaderId" in answer and not self._loaded:  # a new hash alone loads nothing
            self._read()
        seconds = time.perf_counter() - start
        self.settle()
        return seconds

    def look(self, address, *, width=1200, dark=False):
        """Load a page afresh on a screen of a width, in a color scheme."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=1100, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme], media="")
        self.open("about:blank")
        self.requests.clear()
        self.complaints.clear()
        self.open(address)
        return self

    def run(self, script):
        """The value of a JavaScript expression; promises are awaited."""
        result = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def settle(self):
        """Wait for two frames, in which the page draws what was asked of it."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, key):
        """Press and release a key, as a person would."""
        text = {"text": key} if len(key) == 1 else {"windowsVirtualKeyCode": KEYS[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def click(self, selector):
        """Press an element of the page."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self.settle()

    def texts(self, selector):
        """Texts of the elements that a person can see."""
        return self.run(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".filter(each => each.checkVisibility()).map(each => each.innerText.trim())"
        )

    def picture(self):
        """The screen as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def _read(self):
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._in], [], [], SECONDS)
            block = os.read(self._in, 1 << 20) if ready else b""
            assert block, f"no answer from the browser in {SECONDS} seconds"
            self._left += block
        raw, self._left = self._left.split(b"\0", 1)
        message = json.loads(raw)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, params):
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(params["args"])
