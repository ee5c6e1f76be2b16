"""A real browser for tests: Chromium without a window, over its DevTools protocol."""

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websocket import WebSocket, create_connection

PROGRAM = "chromium-headless-shell"
# The file or program that shows it, and its Debian package. The font is that of Grafana, so that
# its texts have their true widths.
PACKAGES = {
    PROGRAM: "chromium-headless-shell",
    "/usr/share/fonts/opentype/inter": "fonts-inter",
}
_START_SECONDS = 30


class Browser:
    """One page of a browser."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events on the way are kept."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self._keep(message)

    def open(self, file: Path, fragment: str = "") -> None:
        """Opens a file and waits until it is loaded."""
        self.visit(file.as_uri() + fragment)

    def visit(self, url: str) -> None:
        """Opens an address and waits until it is loaded."""
        self.requests.clear()
        self.errors.clear()
        self.send("Page.navigate", url=url)
        deadline = time.monotonic() + _START_SECONDS
        while self.run("document.readyState") != "complete":
            assert time.monotonic() < deadline, "the page does not load"

    def run(self, script: str) -> Any:
        """Returns the value of an expression in the page."""
        result = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def show(self, *, dark: bool = False, width: int = 1280, height: int = 900) -> None:
        """Sets the size of the window and the preferred colours."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Presses and releases a key."""
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                **{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code},
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def picture(self, file: Path) -> None:
        """Writes a picture of the whole page, in the format of the file's suffix: PNG or WebP."""
        kind = {"format": "webp", "quality": 80} if file.suffix == ".webp" else {"format": "png"}
        result = self.send("Page.captureScreenshot", **kind, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(result["data"]))

    def accessible(self) -> list[tuple[str, str]]:
        """Returns role and name of everything that a screen reader finds."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]

    def _keep(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded":
            self.errors.append(parameters["entry"]["text"])


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts a browser with an empty profile, and ends it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                str(shutil.which(PROGRAM)),
                *("--remote-debugging-port=0", f"--user-data-dir={profile}", "--disable-gpu"),
                # A container has no user namespaces and a small /dev/shm.
                *("--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"),
                *("--no-proxy-server", "--remote-allow-origins=*", "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Debian's program is a script that waits for the browser: both are stopped as a group.
            start_new_session=True,
        )
        try:
            port = _port(Path(profile) / "DevToolsActivePort", process)
            with urlopen(f"http://127.0.0.1:{port}/json/list") as response:
                (page,) = (item for item in json.load(response) if item["type"] == "page")
            socket = create_connection(page["webSocketDebuggerUrl"], timeout=60)
            try:
                yield Browser(socket)
            finally:
                socket.close()
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(_START_SECONDS)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError(f"{PROGRAM} did not start: {process.poll()}")
