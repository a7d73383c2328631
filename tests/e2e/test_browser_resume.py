"""Cuts, half-open sockets and refusals, in a real browser against a gateway that parks sessions."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browser_page import ENCODE_BASE64, chromium
from tests.e2e.resuming_gateway import ResumingGateway

TOKENS = [f"token {i}, " for i in range(30)]

SPEAK = """async ([url, tokens]) => {
  const { VoiceClient } = await import("/voice-client.js");
  const { Player } = await import("/player.js");
  globalThis.log = [];
  globalThis.client = new VoiceClient(url);
  globalThis.player = new Player({ capture: true });
  for (const type of ["ready", "resumed", "state"])
    client.addEventListener(type, ({ detail }) => log.push([type, detail.state ?? detail.session]));
  await Promise.all([client.connect(), player.resume()]);
  globalThis.speech = client.start();
  globalThis.bytes = 0;
  for (const type of ["done", "lost"])
    speech.addEventListener(type, ({ detail }) => log.push([type, detail.code ?? 0]));
  speech.addEventListener("audio", ({ detail }) => {
    for (const frame of detail.frames) bytes += frame.length;
  });
  for (const type of ["drained", "underrun", "word"])
    player.addEventListener(type, ({ detail }) => log.push([type, detail.text ?? ""]));
  player.play(speech);
  (async () => {
    for (const token of tokens) {
      speech.feed(token);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    speech.end();
  })();
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, gateway_url: str) -> Iterator[Page]:
    """A document of the gateway's own origin that has no policy and no script."""
    page = browser.new_page()
    page.goto(f"{gateway_url}/healthz")
    yield page
    page.close()


@pytest.fixture
def parking() -> Iterator[ResumingGateway]:
    gateway = ResumingGateway()
    yield gateway
    gateway.close()


def speak(page: Page, gateway: ResumingGateway, tokens: list[str] = TOKENS) -> None:
    page.evaluate(SPEAK, [gateway.url, tokens])


def wait_for(page: Page, kind: str, *, count: int = 1, timeout_s: float = 10) -> list[Any]:
    page.wait_for_function(
        "([kind, count]) => log.filter(([type]) => type === kind).length >= count",
        arg=[kind, count],
        timeout=timeout_s * 1000,
    )
    return [detail for type_, detail in page.evaluate("log") if type_ == kind]


def captured(page: Page) -> np.ndarray[Any, np.dtype[np.float32]]:
    encoded = page.evaluate(f"player.captured().then({ENCODE_BASE64})")
    return np.frombuffer(base64.b64decode(encoded), "<f4")


def test_no_sample_and_no_word_is_lost_or_repeated_over_many_cuts(
    page: Page, parking: ResumingGateway
) -> None:
    speak(page, parking)
    for i in range(6):  # while text goes up, and while audio comes down
        time.sleep(0.25)
        parking.cut()
        wait_for(page, "resumed", count=i + 1)
    wait_for(page, "drained")

    log = page.evaluate("log")
    assert [detail for kind, detail in log if kind == "resumed"] == ["s0"] * 6
    assert not any(kind in ("lost", "underrun") for kind, _ in log)
    assert parking.session.texts() == TOKENS
    expected = parking.speech.astype("f4") / 32_768
    assert np.array_equal(captured(page)[: len(expected)], expected)
    assert [detail for kind, detail in log if kind == "word"] == [f"w{i}" for i in range(10)]
    assert all("secret" not in url for url in page.evaluate("[client.url.href]"))
    assert {resume["secret"] for resume in parking.resumes} == {"secret-0"}


def test_a_socket_that_is_dead_but_open_is_found_out_and_taken_over(
    page: Page, parking: ResumingGateway
) -> None:
    speak(page, parking)
    time.sleep(0.3)
    parking.go_silent()
    wait_for(page, "resumed")
    wait_for(page, "drained")
    assert len(parking.resumes) == 1
    assert parking.session.texts() == TOKENS
    assert page.evaluate("bytes") == parking.speech.nbytes
    assert not any(kind == "lost" for kind, _ in page.evaluate("log"))


def test_a_cancel_that_falls_into_a_cut_is_answered_after_it(
    page: Page, parking: ResumingGateway
) -> None:
    speak(page, parking, ["One."])
    page.wait_for_function("player.status.played > 9600")
    parking.cut()
    page.wait_for_function("client.resuming")
    heard = page.evaluate("player.stop().heard")
    cancels = [c for c in parking.session.commands if c["type"] == "cancel"]
    assert len(cancels) == 1
    assert heard["played_samples"] == cancels[0]["played_samples"] > 9600
    assert page.evaluate("speech.gone") is False


def test_a_session_that_is_gone_is_said_to_be_lost_and_a_new_one_follows(
    page: Page, parking: ResumingGateway
) -> None:
    parking.refuses_resumes = True
    speak(page, parking)
    time.sleep(0.2)
    parking.cut()
    assert wait_for(page, "lost") == [4404]
    assert wait_for(page, "ready", count=2) == ["s0", "s1"]
    assert page.evaluate("client.resuming") is False
    page.evaluate("client.start().feed('Anew.')")
    page.wait_for_timeout(100)
    assert parking.session.texts() == ["Anew."]


def test_after_the_window_of_the_gateway_no_resume_is_tried(browser: Browser, page: Page) -> None:
    parking = ResumingGateway(window_s=0)
    speak(page, parking)
    time.sleep(0.2)
    parking.cut()
    assert wait_for(page, "ready", count=2) == ["s0", "s1"]
    assert wait_for(page, "lost") == [1006]
    assert parking.resumes == []
    parking.close()


def test_a_page_whose_session_another_page_took_stays_away(
    page: Page, parking: ResumingGateway
) -> None:
    speak(page, parking)
    time.sleep(0.2)
    connection = parking.session.connection
    assert connection is not None
    connection.close(4409)
    assert wait_for(page, "lost") == [4409]
    page.wait_for_timeout(700)
    assert page.evaluate("client.state") == "idle"
    assert len(parking.sessions) == 1
    assert parking.resumes == []


def test_a_client_that_plays_nothing_acknowledges_too_but_not_for_ever(
    page: Page, parking: ResumingGateway
) -> None:
    page.evaluate(
        """async (url) => {
          const { VoiceClient } = await import("/voice-client.js");
          globalThis.client = new VoiceClient(url);
          await client.connect();
          const speech = client.start();
          speech.feed("A long one."); speech.end();
        }""",
        parking.url,
    )
    page.wait_for_timeout(2500)
    acks = [c["received"] for c in parking.session.commands if c["type"] == "ack"]
    assert len(acks) >= 3  # 192 KB came, and an ack is due each 32 KiB
    assert acks == sorted(acks)
    count = len(parking.session.commands)
    page.wait_for_timeout(1500)
    assert len(parking.session.commands) == count  # acknowledgements are not acknowledged
    page.evaluate("client.close()")
