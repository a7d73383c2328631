"""Resuming, against a gateway in memory: what is given back, to whom, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from gateway.app import Gateway
from gateway.settings import Settings
from tests.shell.asgi import Client, running

SENTENCE = "This is a sentence of some length that takes a while to be heard. "


def make_settings(**limits: object) -> Settings:
    return Settings(limits=limits)  # type: ignore[arg-type]


class Returning:
    """A client that counts what it takes, and may come back."""

    def __init__(self, app: Starlette, client: Client, ready: dict[str, Any]) -> None:
        self.app = app
        self.client = client
        self.session = ready["session"]
        self.secret = ready["resume"]["secret"]
        self.received = 1

    @classmethod
    async def open(cls, app: Starlette) -> Returning:
        client = Client(app)
        return cls(app, client, await client.open())

    async def hear(self) -> Any:
        heard = await self.client.hear()
        self.received += not isinstance(heard, int)
        return heard

    async def hear_audio(self) -> tuple[int, int]:
        """Sequence number and frames of the next audio message."""
        while not isinstance(heard := await self.hear(), tuple):
            assert isinstance(heard, dict), heard
        return heard[0].sequence_number, len(heard[1])

    async def lose(self) -> None:
        """The network forgets us."""
        self.client.disconnect(1006)
        await asyncio.wait_for(self.client.task, 5)

    def dial(self, **message: Any) -> Client:
        """A new socket that wants the session back."""
        client = Client(self.app, query_string=f"resume={self.session}".encode())
        client.say(
            **{"type": "resume", "secret": self.secret, "received": self.received, **message}
        )
        return client

    async def come_back(self) -> dict[str, Any]:
        """Resume; returns ``resumed``."""
        self.client = self.dial()
        assert (await self.client.hear())["type"] == "websocket.accept"
        resumed: dict[str, Any] = await self.client.hear()
        assert resumed["type"] == "resumed", resumed
        return resumed


async def refusal(client: Client) -> tuple[str, int]:
    assert (await client.hear())["type"] == "websocket.accept"
    error = await client.hear()
    assert (error["type"], error["fatal"]) == ("error", True)
    code = await client.hear()
    await asyncio.wait_for(client.task, 5)
    return error["code"], code


async def wait_until_empty(gateway: Gateway) -> None:
    async with asyncio.timeout(5):
        while len(gateway.registry):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def metric(gateway: Gateway, name: str) -> float:
    for line in gateway.metrics.exposition().decode().splitlines():
        if line.startswith(f"voice_gateway_{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


# ── the session goes on ────────────────────────────────────────────────────────────────────────


async def test_a_session_goes_on_at_the_frame_where_it_was_lost() -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        client.client.say(type="start", codec="pcm")
        client.client.say(type="text", text=SENTENCE)
        number, frames = await client.hear_audio()
        await client.lose()
        assert (gateway.lot.parked, len(gateway.registry)) == (1, 1)
        assert metric(gateway, "sessions_parked") == 1
        resumed = await client.come_back()
        assert (resumed["session"], resumed["received"]) == (client.session, 2)
        (context,) = resumed["contexts"]
        assert context["text_received"] == len(SENTENCE)
        assert context["open"]
        assert gateway.lot.parked == 0
        expected = number + frames
        client.client.say(type="end")
        while True:
            heard = await client.hear()
            if isinstance(heard, tuple):
                assert heard[0].sequence_number == expected
                expected += len(heard[1])
            elif heard["type"] == "done":
                assert heard["frames"] == expected
                break
        assert metric(gateway, 'resumes_total{outcome="resumed"}') == 1
        await client.client.end()
        assert len(gateway.registry) == 0


async def test_what_was_said_while_nobody_listened_is_told_afterwards() -> None:
    async with running() as (app, _):
        client = await Returning.open(app)
        client.client.say(type="start", codec="pcm")
        await client.hear()
        client.client.say(type="text", text="Hi.")
        client.client.say(type="end")
        await client.lose()
        await asyncio.sleep(0.1)
        resumed = await client.come_back()
        kinds = set()
        while (heard := await client.hear()) is not None:
            kinds.add("audio" if isinstance(heard, tuple) else heard["type"])
            if not isinstance(heard, tuple) and heard["type"] == "done":
                break
        assert kinds >= {"chunk", "audio", "done"}
        assert 1 <= resumed["received"] <= 3
        await client.client.end()


async def test_the_old_socket_is_closed_when_another_takes_over() -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        client.client.say(type="start")
        await client.hear()
        old = client.client
        await client.come_back()
        assert await old.hear() == 4409
        await asyncio.wait_for(old.task, 5)
        client.client.say(type="start", context="b")
        assert (await client.hear())["context"] == "b"
        assert metric(gateway, 'resumes_total{outcome="taken_over"}') == 1
        await client.client.end()
        assert (len(gateway.registry), gateway.lot.parked) == (0, 0)


async def test_a_half_open_socket_that_takes_nothing_is_taken_over_at_once() -> None:
    async with running() as (app, _):
        client = await Returning.open(app)
        old = client.client
        old.reading.clear()
        old.say(type="start", codec="pcm")
        old.say(type="text", text=SENTENCE * 3)
        await asyncio.sleep(0.05)
        resumed = await client.come_back()
        assert resumed["received"] == 2
        assert (await client.hear())["type"] == "started"
        assert (await client.hear_audio())[0] == 0
        await asyncio.wait_for(old.task, 5)
        await client.client.end()


async def test_it_may_be_cut_again_and_again() -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        client.client.say(type="start", codec="pcm")
        for number in range(20):
            client.client.say(type="flush", context=f"no-such-{number}")
            while "no-such" not in str(await client.hear()):
                pass
            await client.lose()
            resumed = await client.come_back()
            assert resumed["received"] == number + 2
        assert metric(gateway, 'resumes_total{outcome="resumed"}') == 20
        await client.client.end()
        await wait_until_empty(gateway)


# ── acknowledgements ───────────────────────────────────────────────────────────────────────────


async def test_the_gateway_acknowledges_to_those_who_do() -> None:
    async with running() as (app, _):
        client = await Returning.open(app)
        client.client.say(type="ack", received=1)
        assert await client.hear() == {"type": "ack", "received": 1}
        client.client.say(type="start")
        assert (await client.hear())["type"] == "started"
        began = asyncio.get_running_loop().time()
        assert await client.hear() == {"type": "ack", "received": 2}
        assert asyncio.get_running_loop().time() - began > 0.7
        await client.client.end()


async def test_a_report_acknowledges_too_and_forgets_what_it_names() -> None:
    async with running() as (app, _):
        client = await Returning.open(app)
        client.client.say(type="start")
        await client.hear()
        client.client.say(type="report", played_samples=0, received=2)
        assert (await client.hear())["received"] == 2
        await client.lose()
        client.received = 1
        assert await refusal(client.dial()) == ("resume_refused", 4404)


async def test_acknowledging_what_was_never_sent_is_an_error_that_ends_nothing() -> None:
    async with running() as (app, _):
        client = await Returning.open(app)
        client.client.say(type="ack", received=99)
        error = await client.hear()
        assert (error["code"], error["field"], error["limit"]) == (
            "protocol_violation",
            "received",
            1,
        )
        client.client.say(type="resume", secret="x", received=0)
        assert "only the first message" in (await client.hear())["message"]
        await client.client.end()


async def test_a_client_that_never_acknowledges_loses_its_session_once_the_log_is_full() -> None:
    async with running(make_settings(resend_bytes_max=16_384)) as (app, gateway):
        client = await Returning.open(app)
        client.client.say(type="start", codec="pcm", sample_rate=48_000)
        client.client.say(type="text", text=SENTENCE)
        for _ in range(4):
            await client.hear_audio()
        await client.lose()
        assert len(gateway.registry) == 0


async def test_audio_waits_for_acknowledgements_when_the_log_fills() -> None:
    async with running(make_settings(resend_bytes_max=16_384)) as (app, _):
        client = await Returning.open(app)
        client.client.say(type="start", codec="pcm", sample_rate=48_000)
        client.client.say(type="ack", received=1)
        client.client.say(type="text", text=SENTENCE)
        await client.hear_audio()
        await asyncio.sleep(0.5)
        while not client.client.received.empty():
            await client.hear()
        await asyncio.sleep(0.2)
        assert client.client.received.empty()
        client.client.say(type="ack", received=client.received)
        await client.hear_audio()
        await client.client.end()


# ── refused ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "message",
    [{"secret": "wrong"}, {"received": 99}, {"secret": "x" * 128}, {"received": 2**53}],
)
async def test_a_wrong_claim_is_refused_and_the_session_waits_on(message: dict[str, Any]) -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        await client.lose()
        assert await refusal(client.dial(**message)) == ("resume_refused", 4404)
        assert metric(gateway, 'resumes_total{outcome="refused"}') == 1
        assert gateway.lot.parked == 1
        await client.come_back()
        await client.client.end()


async def test_an_unknown_session_is_refused() -> None:
    async with running() as (app, _):
        client = await Returning.open(app)
        client.session = "nobody"
        assert await refusal(client.dial()) == ("resume_refused", 4404)
        await client.client.end()


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type":"start"}', ("protocol_violation", 1002)),
        ("not JSON", ("protocol_violation", 1002)),
        ('{"type":"resume","secret":7,"received":1}', ("invalid_value", 1008)),
        ('{"type":"resume","secret":"s","received":-1}', ("invalid_value", 1008)),
        ('{"type":"resume","received":1}', ("invalid_value", 1008)),
    ],
)
async def test_another_first_message_is_refused(first: str, code: tuple[str, int]) -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        await client.lose()
        intruder = Client(app, query_string=f"resume={client.session}".encode())
        intruder.say_text(first)
        assert await refusal(intruder) == code
        assert gateway.lot.parked == 1


async def test_a_socket_that_says_nothing_or_leaves_is_not_waited_for() -> None:
    async with running(make_settings(handshake_timeout_s=0.1)) as (app, gateway):
        silent = Client(app, query_string=b"resume=x")
        assert await refusal(silent) == ("resume_refused", 4404)
        gone = Client(app, query_string=b"resume=x")
        gone.disconnect(1006)
        await asyncio.wait_for(gone.task, 5)
        assert len(gateway.registry) == 0


async def test_guessing_is_slowed_down_and_the_right_secret_is_not() -> None:
    settings = make_settings(resume_refusals_per_s_max=4.0)
    async with running(settings) as (app, _):
        client = await Returning.open(app)
        await client.lose()
        loop = asyncio.get_running_loop()
        began = loop.time()
        guesses = [client.dial(secret=f"guess {number}") for number in range(6)]
        await asyncio.sleep(0)
        await client.come_back()
        assert loop.time() - began < 0.3
        for guess in guesses:
            await refusal(guess)
        assert loop.time() - began >= 0.45
        await client.client.end()


async def test_the_api_key_is_asked_for_again() -> None:
    settings = Settings(server={"api_keys": (SecretStr("k"),)})  # type: ignore[arg-type]
    async with running(settings) as (app, _):
        intruder = Client(app, query_string=b"resume=x")
        assert await refusal(intruder) == ("unauthorized", 4401)


# ── the end ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [1000, 1001, 1005, 4000])
async def test_a_client_that_leaves_on_purpose_is_not_waited_for(code: int) -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        client.client.disconnect(code)
        await asyncio.wait_for(client.client.task, 5)
        assert (len(gateway.registry), gateway.lot.parked) == (0, 0)


async def test_one_that_asked_to_close_is_not_waited_for_either() -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        client.client.say(type="start", codec="pcm")
        client.client.say(type="text", text=SENTENCE)
        await client.hear_audio()
        client.client.say(type="close")
        await asyncio.sleep(0.05)
        assert await refusal(client.dial()) == ("resume_refused", 4404)
        await client.lose()
        assert len(gateway.registry) == 0


async def test_a_parked_session_expires() -> None:
    async with running(make_settings(park_s=0.2)) as (app, gateway):
        client = await Returning.open(app)
        client.client.say(type="start", codec="pcm")
        client.client.say(type="text", text=SENTENCE)
        await client.hear_audio()
        await client.lose()
        assert gateway.lot.parked == 1
        await wait_until_empty(gateway)
        assert gateway.lot.parked == 0
        assert metric(gateway, 'closed_total{code="1006"}') == 1
        assert await refusal(client.dial()) == ("resume_refused", 4404)


async def test_a_drain_ends_parked_sessions_at_once() -> None:
    async with running() as (app, gateway):
        client = await Returning.open(app)
        client.client.say(type="start")
        await client.hear()
        await client.lose()
        gateway.begin_drain()
        assert (len(gateway.registry), gateway.lot.parked) == (0, 0)
        assert metric(gateway, 'closed_total{code="1012"}') == 1


async def test_parked_sessions_count_for_the_limit_of_sessions() -> None:
    async with running(make_settings(sessions_max=1)) as (app, _):
        client = await Returning.open(app)
        await client.lose()
        assert await refusal(Client(app)) == ("overloaded", 1013)
        await client.come_back()
        await client.client.end()


async def test_there_are_places_for_so_many_parked_sessions_only() -> None:
    async with running(make_settings(parked_sessions_max=1)) as (app, gateway):
        first, second = await Returning.open(app), await Returning.open(app)
        await first.lose()
        await second.lose()
        assert (len(gateway.registry), gateway.lot.parked) == (1, 1)
        assert metric(gateway, 'limits_total{limit="parked_sessions_max"}') == 1


@pytest.mark.parametrize("limits", [{"park_s": 0.0}, {"parked_sessions_max": 0}])
async def test_it_can_be_switched_off(limits: dict[str, object]) -> None:
    async with running(make_settings(**limits)) as (app, gateway):
        client = Client(app)
        assert (await client.open())["resume"] is None
        client.disconnect(1006)
        await asyncio.wait_for(client.task, 5)
        assert len(gateway.registry) == 0
