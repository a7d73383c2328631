"""A web server for one directory that can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileServer:
    """What it does and what it was asked; change the attributes between or during requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.ranges: list[str | None] = []
        """The Range header of each request, None without one."""
        self.ranges_supported = True
        self.cut_after: list[int] = []
        """Body bytes after which the next responses break off, one each."""
        self.statuses: list[int] = []
        """Refusals of the next requests."""
        self.says_length = True


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """A server on 127.0.0.1, in a thread."""
    state = FileServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.ranges.append(self.headers["Range"])
            if state.statuses:
                self.send_error(state.statuses.pop(0))
                return
            file = state.folder / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            self._send(file.read_bytes())

        def _send(self, data: bytes) -> None:
            start = 0
            if self.headers["Range"] and state.ranges_supported:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                if start >= len(data):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            if state.says_length:
                self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = start + state.cut_after.pop(0) if state.cut_after else len(data)
            self.wfile.write(data[start:end])

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
