"""A real gateway: its own process, a free port, the embedded voice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

START_TIMEOUT_S = 30.0


@dataclass
class GatewayProcess:
    """A running ``voice-gateway serve``."""

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)
    url: str = ""
    reader: threading.Thread = field(default_factory=threading.Thread)

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws") + "/v1/speak"

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics").text
        found = re.search(rf"^voice_gateway_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def stop(self, sig: signal.Signals = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.process.wait(timeout_s)
        self.reader.join()  # it ends with the stream
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


def start_gateway(**settings: str) -> GatewayProcess:
    """Start one; ``settings`` are names such as ``limits__sessions_max``."""
    environment = {
        **os.environ,
        **{f"VOICE_GATEWAY_{name.upper()}": value for name, value in settings.items()},
        "VOICE_GATEWAY_SERVER__PORT": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    gateway = GatewayProcess(process)

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            gateway.log.append(line)

    gateway.reader = threading.Thread(target=read, daemon=True)
    gateway.reader.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listening on (http://\S+)", "".join(gateway.log))
        if found:
            gateway.url = found[1]
            if httpx.get(f"{gateway.url}/readyz").status_code == 200:
                return gateway
        time.sleep(0.02)
    process.kill()
    raise AssertionError("the gateway did not start:\n" + "".join(gateway.log))


@pytest.fixture(scope="session")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway with default settings for all tests that do not stop it."""
    running = start_gateway()
    yield running
    assert running.stop() == 0, "".join(running.log)
    assert "Traceback" not in "".join(running.log), "".join(running.log)


@pytest.fixture(scope="session")
def gateway_url(gateway: GatewayProcess) -> str:
    return gateway.url
