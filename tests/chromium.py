"""A small driver for headless Chromium over its DevTools pipe: no extra package, no port, no network."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--allow-file-access-from-files",
    "--remote-debugging-pipe",
    "--hide-scrollbars=false",
)


def find() -> str | None:
    """The path of a Chromium, or None: MODTS_CHROMIUM, else the usual names."""
    return os.environ.get("MODTS_CHROMIUM") or next((path for path in map(shutil.which, NAMES) if path), None)


class Chromium:
    """One browser with one tab; use as a context manager.

    Errors of the page (uncaught exceptions, console errors, failed loads) collect in `errors`.
    """

    def __init__(self, path: str | None = None):
        self._home = tempfile.TemporaryDirectory(prefix="modts-chromium-", ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()  # the browser reads commands from descriptor 3 and answers on 4
        self._read, from_browser = os.pipe()
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, path or find(), *FLAGS, f"--user-data-dir={self._home.name}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self._session, self._events = b"", 0, None, []
        self.errors: list[str] = []

    def __enter__(self):
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._home.cleanup()

    def _message(self, timeout: float) -> dict | None:
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("Chromium closed its pipe.")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(line)

    def _event(self, message: dict) -> None:
        name, about = message.get("method"), message.get("params", {})
        if name == "Runtime.exceptionThrown":
            self.errors.append(about["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif name == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(
                "console: " + " ".join(str(part.get("value", part.get("description"))) for part in about["args"])
            )
        elif name == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(f"log: {about['entry']['text']} {about['entry'].get('url', '')}")
        elif name == "Network.requestWillBeSent" and about["request"]["url"].startswith(("http:", "https:")):
            self.errors.append(f"asks the network for {about['request']['url']}")
        self._events.append(name)

    def send(self, method: str, timeout: float = 60.0, **params):
        """Call a DevTools method and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._message(timeout)) is not None:
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer.get("result", {})
            self._event(answer)
        raise TimeoutError(f"{method}: no answer in {timeout} s")

    def open(self, url: str, width: int, height: int = 900, timeout: float = 60.0) -> None:
        """Load a page in a window of this size and wait until it has loaded and settled."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self._events.clear()
        self.errors.clear()
        self.send("Page.navigate", url=url)
        end = time.monotonic() + timeout
        while "Page.loadEventFired" not in self._events:
            message = self._message(end - time.monotonic())
            if message is None:
                raise TimeoutError(f"{url} did not load in {timeout} s")
            self._event(message)
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def run(self, script: str):
        """The value of a JavaScript expression on the page; promises are awaited."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def screenshot(self, path: Path, full: bool = True) -> None:
        """Write a PNG of the page."""
        import base64

        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=full)["data"]
        Path(path).write_bytes(base64.b64decode(data))
