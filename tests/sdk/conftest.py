from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import GatewayProcess, start_gateway


def running(**settings: str) -> Iterator[GatewayProcess]:
    gateway = start_gateway(**settings)
    yield gateway
    assert gateway.stop() == 0
    assert "Traceback" not in "".join(gateway.log), "".join(gateway.log)


@pytest.fixture(scope="session")
def gateway() -> Iterator[GatewayProcess]:
    """Sends audio as soon as it is made; speaks Wyoming too."""
    yield from running(wires__wyoming_port="0")


@pytest.fixture(scope="session")
def paced() -> Iterator[GatewayProcess]:
    """Sends audio half a second before it sounds, so that there is something left to cancel."""
    yield from running(wires__lead_s="0.5", wires__wyoming_port="0")


@pytest.fixture(scope="session")
def locked() -> Iterator[GatewayProcess]:
    yield from running(server__api_keys="right")
