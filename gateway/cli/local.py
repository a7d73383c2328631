"""A gateway of one's own for one command: ``--local``.

It runs in a child process, as a real one does, on a free port of the loopback interface, and ends
with the command.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway.cli.http import get_json
from gateway.client.address import Address, parse_address
from gateway.errors import SetupError, Unavailable

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05


@contextmanager
def local_gateway(models: Sequence[str] = ()) -> Iterator[str]:
    """Start a gateway with ``models``, yield its URL once all has loaded, and stop it.

    Raises SetupError with the gateway's own last words if it does not start.
    """
    address = parse_address(f"127.0.0.1:{free_port()}")
    port = address.authority.rpartition(":")[2]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            serve_command(port, models),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            if not _wait_until_ready(process, address):
                log.seek(0)
                last = log.read().decode(errors="replace").strip().splitlines()[-3:]
                raise SetupError(
                    f"the local gateway did not start: {' / '.join(last) or 'it said nothing'}"
                )
            yield address.websocket_url
        finally:
            stop(process)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve_command(port: str, models: Sequence[str], *settings: str) -> list[str]:
    """The command line of a gateway on the loopback interface."""
    flags = [part for model in models for part in ("--model", model)]
    flags += [part for setting in settings for part in ("--set", setting)]
    where = ["--host", "127.0.0.1", "--port", port]
    return [sys.executable, "-m", "gateway", "serve", *where, *flags]


def _wait_until_ready(process: subprocess.Popen[bytes], address: Address) -> bool:
    """Poll until all voices are listed; whether there is any."""
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            if not get_json(address, "/v1/voices")["loading"]:
                return True
        except Unavailable:
            return False
        except ConnectionError:
            pass
        time.sleep(_POLL_S)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, with a signal that lets it finish, then without."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
