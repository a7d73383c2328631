"""A gateway whose engine sleeps before each chunk: a slowdown that the comparison should find.

The server is the one that users start, with its cache off; only the embedded engine's ``render``
is preceded by a sleep of as many seconds as the pipe last said.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from time import sleep

import gateway.app
from gateway.engine.base import Emit
from gateway.engine.espeak import EspeakEngine
from gateway.server import make_server
from gateway.settings import Settings
from gateway.synthesis import Window
from loadtest.processes import HOST


class SlowedEngine(EspeakEngine):
    """espeak-ng, ``delay_s`` later."""

    delay_s = 0.0

    def render(self, windows: Sequence[Window], emit: Emit) -> None:
        """Sleep, then speak."""
        if SlowedEngine.delay_s > 0:
            sleep(SlowedEngine.delay_s)
        super().render(windows, emit)


def serve(pipe: Connection, port: int) -> None:
    """Serve on ``port``; each number of seconds from the pipe is answered once it holds."""
    vars(gateway.app)["EspeakEngine"] = SlowedEngine
    threading.Thread(target=_obey, args=(pipe,), daemon=True).start()
    settings = Settings.model_validate(
        {"server": {"host": HOST, "port": port}, "engine": {"cache_bytes_max": 0}}
    )
    make_server(settings).run()


def _obey(pipe: Connection) -> None:
    try:
        while True:
            SlowedEngine.delay_s = pipe.recv()
            pipe.send(None)
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)  # the benchmark is over
