"""What the client does when its socket is lost, against a scripted server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.client import Audio, Context, Done, SessionReplaced, connect
from gateway.errors import ClientError, Unauthorized
from tests.client.scripted_server import READY, STARTED, Peer, scripted

pytestmark = pytest.mark.timeout(20)

OFFER = {**READY, "resume": {"secret": "s3cret", "window_s": 30}}


class Gatekeeper:
    """Each connection plays the next of ``scripts``; those that resume are told so."""

    def __init__(self, *scripts: Any) -> None:
        self.scripts = list(scripts)
        self.paths: list[str] = []
        self.resumes: list[dict[str, Any]] = []

    async def __call__(self, peer: Peer) -> None:
        assert peer.socket.request is not None
        self.paths.append(peer.socket.request.path)
        script = self.scripts.pop(0)
        if "resume=" in self.paths[-1]:
            self.resumes.append(json.loads(await peer.socket.recv()))
        else:
            await peer.send("ready", **OFFER)
        await script(peer)


async def heard(peer: Peer) -> dict[str, Any]:
    """The next message that is no acknowledgement."""
    while (message := await peer.receive())["type"] == "ack":
        pass
    return message


async def refuse(peer: Peer) -> None:
    await peer.send("error", code="resume_refused", message="gone", fatal=True)
    await peer.socket.close(4404)


async def start_then_cut(peer: Peer) -> None:
    """Opens a context, sends two frames and is gone."""
    assert (await heard(peer))["type"] == "start"
    await peer.send("started", **STARTED)
    await peer.send_audio(2)
    assert (await heard(peer))["type"] == "text"
    peer.socket.transport.abort()


async def numbers(context: Context) -> list[int]:
    return [event.sequence_number async for event in context if isinstance(event, Audio)]


async def test_the_iteration_goes_on_across_a_cut_and_text_is_sent_again() -> None:
    again: list[dict[str, Any]] = []

    async def go_on(peer: Peer) -> None:
        # It took the start (and perhaps acknowledgements before), but not the text.
        await peer.send("resumed", session="s1", received=taken(gatekeeper), window_s=30)
        again.append(await heard(peer))
        await peer.send_audio(1, sequence_number=2, last=True)
        await peer.send_done()
        await peer.drain()

    counted: list[str] = []

    async def first(peer: Peer) -> None:
        try:
            await start_then_cut(peer)
        finally:
            counted.extend(message["type"] for message in peer.received)

    def taken(_: Gatekeeper) -> int:
        return counted.index("text")

    gatekeeper = Gatekeeper(first, go_on)
    async with scripted(gatekeeper, ready=None) as url, connect(url) as session:
        context = await session.start()
        await context.send_text("once")
        assert await numbers(context) == [0, 2]
        assert (session.resumes, session.renewals) == (1, 0)
    assert gatekeeper.paths == ["/v1/speak", "/v1/speak?resume=s1"]
    assert gatekeeper.resumes == [{"type": "resume", "secret": "s3cret", "received": 3}]
    assert [message["text"] for message in again] == ["once"]


async def test_a_session_that_is_gone_is_replaced_and_everybody_is_told() -> None:
    async def second(peer: Peer) -> None:
        assert (await heard(peer))["type"] == "start"
        await peer.send("started", **STARTED)
        await peer.send_done()
        await peer.drain()

    gatekeeper = Gatekeeper(start_then_cut, refuse, second)
    async with scripted(gatekeeper, ready=None) as url, connect(url) as session:
        context = await session.start()
        await context.send_text("never heard")
        with pytest.raises(SessionReplaced, match="a new one began"):
            await numbers(context)
        assert session.renewals == 1
        assert context.heard.text_offset == 0
        other = await session.start()
        assert [type(event) async for event in other] == [Done]
    assert gatekeeper.paths == ["/v1/speak", "/v1/speak?resume=s1", "/v1/speak"]


async def test_it_tries_again_and_gives_up_in_time() -> None:
    async def cut(peer: Peer) -> None:
        peer.socket.transport.abort()

    gatekeeper = Gatekeeper(start_then_cut, *[cut] * 50)
    async with (
        scripted(gatekeeper, ready=None) as url,
        connect(url, reconnect_timeout_s=0.3) as session,
    ):
        context = await session.start()
        await context.send_text("x")
        with pytest.raises(ConnectionError, match=r"not be made again within 0.3 s"):
            await numbers(context)
        with pytest.raises(ConnectionError, match="not be made again"):
            await session.start("b")
    assert len(gatekeeper.resumes) >= 2


async def test_a_gateway_that_lets_us_in_no_more_is_not_asked_twice() -> None:
    async def locked(peer: Peer) -> None:
        await peer.send("error", code="unauthorized", message="no key", fatal=True)
        await peer.socket.close(4401)

    gatekeeper = Gatekeeper(start_then_cut, locked)
    async with scripted(gatekeeper, ready=None) as url, connect(url) as session:
        context = await session.start()
        await context.send_text("x")
        with pytest.raises(Unauthorized):
            await numbers(context)


async def test_a_takeover_ends_the_session_and_is_not_answered() -> None:
    async def taken_over(peer: Peer) -> None:
        await heard(peer)
        await peer.send("started", **STARTED)
        await peer.socket.close(4409, "taken over")

    gatekeeper = Gatekeeper(taken_over)
    async with scripted(gatekeeper, ready=None) as url, connect(url) as session:
        context = await session.start()
        with pytest.raises(ClientError, match="4409: taken over"):
            await numbers(context)
    assert len(gatekeeper.paths) == 1


async def test_resuming_can_be_switched_off() -> None:
    gatekeeper = Gatekeeper(start_then_cut)
    async with (
        scripted(gatekeeper, ready=None) as url,
        connect(url, reconnect_timeout_s=0) as session,
    ):
        context = await session.start()
        await context.send_text("x")
        with pytest.raises(ConnectionError, match="was lost"):
            await numbers(context)


async def test_a_peer_that_answers_no_ping_is_taken_for_cut() -> None:
    async def mute(peer: Peer) -> None:
        await heard(peer)
        await peer.send("started", **STARTED)
        peer.socket.transport.pause_reading()  # type: ignore[attr-defined]
        await peer.socket.wait_closed()

    async def go_on(peer: Peer) -> None:
        await peer.send("resumed", session="s1", received=1, window_s=30)
        await peer.send_done()
        await peer.drain()

    gatekeeper = Gatekeeper(mute, go_on)
    async with (
        scripted(gatekeeper, ready=None) as url,
        connect(url, ping_interval_s=0.1) as session,
    ):
        context = await session.start()
        assert await numbers(context) == []
        assert session.resumes == 1


async def test_an_acknowledgement_is_answered_by_none() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()  # of ready
        for _ in range(3):
            await peer.send("ack", received=1)
            await asyncio.sleep(0.4)
        assert (await peer.receive())["type"] == "close"
        assert [message["type"] for message in peer.received] == ["ack", "close"]
        await peer.socket.close(1000)

    gatekeeper = Gatekeeper(script)
    async with scripted(gatekeeper, ready=None) as url, connect(url) as session:
        await asyncio.wait_for(session.finish(), 10)


async def test_reports_acknowledge_and_tell_the_latency_of_the_device() -> None:
    reports: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        await heard(peer)
        await peer.send("started", **STARTED)
        await peer.send_audio(100)
        while not reports or "output_latency_samples" not in reports[-1]:
            message = json.loads(await peer.socket.recv())
            if message["type"] == "report":
                reports.append(message)
        await peer.send_done()
        await peer.drain()

    gatekeeper = Gatekeeper(script)
    async with (
        scripted(gatekeeper, ready=None) as url,
        connect(url, reports_per_s=50) as session,
    ):
        context = await session.start()
        context.output_latency_s = 0.05
        await numbers(context)
    assert reports[-1]["output_latency_samples"] == 2400
    assert reports[-1]["received"] >= 3
    assert reports[-1]["sequence_number"] == 99
