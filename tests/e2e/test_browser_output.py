"""Sound in a real browser in bad luck: dead timers, a paused device; and the bench of Stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browser_page import DemoPage, chromium
from tests.e2e.interruption import Trial, passed, summary, trials

LONG = "Each sentence is spoken while the next one is being written. " * 3

SPEAK = """async (text) => {
  const Native = AudioContext;
  globalThis.AudioContext = class extends Native {
    constructor(...options) { super(...options); globalThis.audio = this; }
  };
  const { VoiceClient } = await import("/voice-client.js");
  const { Player } = await import("/player.js");
  globalThis.sent = [];
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (message) {
    sent.push(JSON.parse(message));
    send.call(this, message);
  };
  globalThis.outputs = [];
  globalThis.client = new VoiceClient("/v1/speak");
  globalThis.player = new Player();
  player.addEventListener("output", ({ detail }) => outputs.push(detail));
  await Promise.all([client.connect(), player.resume()]);
  globalThis.speech = client.start();
  player.play(speech);
  speech.feed(text);
  speech.end();
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, gateway_url: str) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(f"{gateway_url}/healthz")
    yield page
    page.close()


def reports(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("sent.filter(({ type }) => type === 'report')")
    return found


def test_reports_go_on_where_timers_sleep_as_in_a_hidden_page(page: Page) -> None:
    page.evaluate("globalThis.setTimeout = globalThis.setInterval = () => 0")
    page.evaluate(SPEAK, LONG)
    page.wait_for_function("player.status.played > 96_000", polling="raf")
    told = reports(page)
    assert len(told) >= 6  # 2 s, four a second, and the one of the start
    last = told[-1]
    assert last["generation"] == 0
    assert last["played_samples"] > 70_000
    assert last["sequence_number"] * 960 > last["played_samples"]
    assert 0 <= last["jitter_samples"] < 48_000
    assert 48 <= last["output_latency_samples"] < 48_000  # 1 ms to 1 s
    assert last["underruns"] <= page.evaluate("player.status.underruns")


def test_a_sound_that_the_browser_paused_is_started_again(page: Page) -> None:
    page.evaluate(SPEAK, LONG)
    page.wait_for_function("player.status.played > 9_600")
    page.evaluate("audio.suspend()")
    page.wait_for_function("outputs.length >= 2")
    assert page.evaluate("outputs") == ["suspended", "running"]
    played = page.evaluate("player.status.played")
    page.wait_for_function(f"player.status.played > {played + 9600}")


def test_while_the_sound_stays_paused_reports_say_that_nothing_is_heard(page: Page) -> None:
    page.evaluate(SPEAK, LONG)
    page.wait_for_function("player.status.played > 9_600")
    page.evaluate("() => { audio.resume = () => Promise.reject(new Error('a call')); }")
    page.evaluate("audio.suspend()")
    before = len(reports(page))
    page.wait_for_timeout(2300)
    told = reports(page)[before - 1 :]
    assert 2 <= len(told) <= 4
    assert len({report["played_samples"] for report in told}) == 1
    page.evaluate("() => { delete audio.resume; }")
    page.mouse.click(5, 5)  # whoever comes back does something
    page.wait_for_function("player.outputState === 'running'")


def test_all_that_was_heard_is_told_once(page: Page) -> None:
    page.evaluate(SPEAK, "One two.")
    words = page.evaluate(
        """() => new Promise((resolve) => {
          const heard = [];
          player.addEventListener("word", ({ detail }) => heard.push(detail.text));
          player.addEventListener("finished", () => setTimeout(() => resolve(heard), 200));
          player.addEventListener("finished", () => heard.push("end"));
        })"""
    )
    assert words[-2:] == ["two", "end"]
    assert words.count("end") == 1


def test_a_click_on_stop_is_silent_at_once_and_the_word_is_that_of_the_sound(
    browser: Browser, gateway_url: str
) -> None:
    done = list(trials(browser, gateway_url, count=4, decoder="webcodecs"))
    for trial in done:
        assert trial.agrees, trial
        assert trial.sample_difference == 0
        assert 0 <= trial.sound_after_click_ms < 100  # the fade, and a busy machine's delay
    assert summary(done)["trials"] == 4


def test_a_wrong_word_or_a_late_silence_fails_the_bench() -> None:
    good = Trial(8.0, 8.0, 32.0, 0.0, "two", "two", on_the_border=False, sample_difference=0.0)
    late = Trial(31.0, 8.0, 32.0, 0.0, "two", "two", on_the_border=False, sample_difference=0.0)
    wrong = Trial(8.0, 8.0, 32.0, 0.0, "two", "one", on_the_border=False, sample_difference=0.0)
    border = Trial(8.0, 8.0, 32.0, 0.0, "two", "one", on_the_border=True, sample_difference=0.0)
    noisy = Trial(8.0, 8.0, 32.0, 0.0, "two", "two", on_the_border=False, sample_difference=0.1)
    assert passed(summary([good, border]))
    assert not passed(summary([good, late]))
    assert not passed(summary([good, wrong]))
    assert not passed(summary([good, noisy]))


def test_a_reload_keeps_the_text_the_voice_and_the_settings(
    browser: Browser, gateway_url: str
) -> None:
    demo = DemoPage(browser.new_page(), gateway_url)
    demo.open()
    demo.page.fill("#text", "Not to be forgotten.")
    demo.page.click("summary")
    demo.page.select_option("#codec", "pcmu")
    demo.page.focus("#voice")
    demo.page.keyboard.type("german")
    demo.page.keyboard.press("Enter")
    voice = demo.page.input_value("#voice")
    assert "German" in voice
    demo.open()
    assert demo.page.input_value("#text") == "Not to be forgotten."
    assert demo.page.input_value("#codec") == "pcmu"
    assert demo.page.input_value("#voice") == voice
    assert demo.faults == []
    demo.page.close()


def test_on_a_phone_the_voices_lie_above_everything_and_have_names(
    browser: Browser, gateway_url: str
) -> None:
    demo = DemoPage(browser.new_page(viewport={"width": 390, "height": 700}), gateway_url)
    demo.open()
    demo.page.click("#voice")
    box = demo.page.locator("#voices").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 700
    assert not demo.page.is_visible(".actions")
    demo.page.keyboard.press("End")
    last = demo.page.locator("#voices .option.active").bounding_box()
    assert last is not None
    on_top = demo.page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).closest('.option')?.className",
        [last["x"] + 20, last["y"] + last["height"] / 2],
    )
    assert on_top == "option active"
    titles = demo.page.locator("#voices .group-title").all_inner_texts()
    assert {"Lojban", "Klingon", "British English"} < set(titles)
    assert not [title for title in titles if title.islower() or "-" in title]
    demo.page.keyboard.press("Escape")
    assert demo.page.is_visible(".actions")
    demo.page.close()
