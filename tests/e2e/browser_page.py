"""The demo page in headless Chromium, and what went over its socket.

The socket is recorded by the browser itself (Chrome's network log, through playwright), not by
the page's code, so that the page cannot agree with itself about something wrong.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, Page, WebSocket, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]

ENCODE_BASE64 = """samples => {
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192)
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}"""


class DemoPage:
    """One tab with the demo open, its faults and its traffic."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.audio: list[bytes] = []
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", self._on_websocket)

    def open(self, query: str = "capture=1") -> None:
        """Load the page; returns once it is connected and knows its voices."""
        self.page.goto(f"{self.url}/?{query}")
        self.page.wait_for_selector("#connection[data-state=ready]")
        self.page.wait_for_function("() => document.getElementById('voice').value !== ''")

    def speak(self, text: str, *, until: str = "Finished", timeout_s: float = 20) -> None:
        """Type ``text``, press Speak, and wait for the status ``until``."""
        self.page.fill("#text", text)
        self.page.click("#speak")
        self.wait_for_status(until, timeout_s=timeout_s)

    def wait_for_status(self, status: str, *, timeout_s: float = 20) -> None:
        """Wait until the page says ``status``."""
        self.page.wait_for_function(
            "status => document.getElementById('status').textContent === status",
            arg=status,
            timeout=timeout_s * 1000,
        )

    def wait_until_played(self, samples: int) -> None:
        """Wait until so many media samples of the present generation were played."""
        self.page.wait_for_function(
            "samples => voiceDemo.player.status.played >= samples", arg=samples, timeout=20_000
        )

    def captured(self) -> npt.NDArray[np.float32]:
        """Every sample that the worklet has played since the first, silence included."""
        encoded = self.page.evaluate(f"voiceDemo.player.captured().then({ENCODE_BASE64})")
        return np.frombuffer(base64.b64decode(encoded), "<f4")

    def text_of(self, element_id: str) -> str:
        """The text of an element."""
        return self.page.inner_text(f"#{element_id}")

    def event(self, kind: str) -> dict[str, Any]:
        """The gateway's first message of that type."""
        return next(event for event in self.received if event["type"] == kind)

    def external_requests(self) -> list[str]:
        """Requests that went elsewhere than to the gateway."""
        own = (self.url + "/", self.url.replace("http", "ws", 1) + "/", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(own)]

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    def _on_websocket(self, socket: WebSocket) -> None:
        self.requests.append(socket.url)
        socket.on("framereceived", self._on_received)
        socket.on("framesent", lambda payload: self.sent.append(json.loads(payload)))

    def _on_received(self, payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            self.audio.append(payload)
        else:
            self.received.append(json.loads(payload))


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own; scripts/install-browser.sh gets one.

    Where there is none, launching fails and says so: a browser test is never skipped.
    """
    executable = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()
