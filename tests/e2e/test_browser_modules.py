"""The pure modules of the browser client, with literal numbers, in the browser that runs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.browser_page import chromium


@pytest.fixture(scope="module")
def modules(gateway_url: str) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{gateway_url}/icon.svg")
        yield page


def run(page: Page, module: str, name: str, body: str) -> Any:
    """What ``body`` returns, in which ``name`` of a module is known."""
    return page.evaluate(
        f"async () => {{ const {{ {name} }} = await import('/{module}.js'); {body} }}"
    )


LOG = "const log = new SessionLog('s', {secret: 'x', window_s: 30}, {unitsMax: 10});"


def test_what_is_not_acknowledged_is_sent_again_in_order(modules: Page) -> None:
    again, sent, waiting = run(
        modules,
        "session-log",
        "SessionLog",
        LOG
        + """for (const [at, message] of ["a", "b", "c"].entries()) log.keep(message, at);
        const taken = log.acknowledge(1);
        return [log.again(50), [taken, log.sent, log.isAcknowledged], log.waitingSinceMs];""",
    )
    assert again == ["b", "c"]
    assert sent == [True, 3, True]
    assert waiting == 50


@pytest.mark.parametrize("number", ["0", "4", "undefined", "1.5"])
def test_an_acknowledgement_that_cannot_be_is_refused(modules: Page, number: str) -> None:
    assert (
        run(
            modules,
            "session-log",
            "SessionLog",
            LOG
            + f"""for (const message of ["a", "b", "c"]) log.keep(message, 0);
            log.acknowledge(1);
            return log.acknowledge({number});""",
        )
        is False
    )


def test_a_log_that_is_full_says_that_the_session_cannot_be_resumed(modules: Page) -> None:
    states = run(
        modules,
        "session-log",
        "SessionLog",
        LOG
        + """const states = [];
        for (const message of ["12345", "67890", "1"]) {
          log.keep(message, 0);
          states.push(log.complete);
        }
        return states;""",
    )
    assert states == [True, True, False]


def test_an_acknowledgement_alone_is_not_acknowledged(modules: Page) -> None:
    owes = run(
        modules,
        "session-log",
        "SessionLog",
        LOG
        + """const owes = [];
        const note = () => owes.push([log.received, log.owesReport, log.owesReportNow]);
        log.receive(20, true); note();
        log.receive(40_000, false); note();
        const told = log.report(); note();
        return [...owes, told];""",
    )
    assert owes == [[2, False, False], [3, True, True], [3, False, False], 3]


def test_waits_double_up_to_the_longest_and_are_shortened_at_random(modules: Page) -> None:
    waits = run(
        modules,
        "backoff",
        "Backoff",
        """const pace = new Backoff({firstMs: 100, secondMs: 250, mostMs: 1_000});
        const waits = [0, 0, 0, 0, 0, 0.999].map((random) => pace.next(random));
        pace.reset();
        return [...waits, pace.next(0.5)];""",
    )
    assert waits == [100, 250, 500, 1000, 1000, 500, 75]


def test_the_clock_knows_what_sounded_when_through_a_gap(modules: Page) -> None:
    positions = run(
        modules,
        "playout-clock",
        "PlayoutClock",
        """const clock = new PlayoutClock();
        const before = clock.at(1);
        clock.receive({ time: 10, played: 0, depth: 2_400 }, true);      // begins: 50 ms are there
        clock.receive({ time: 10.05, played: 2_400, depth: 0 }, false);  // runs dry
        clock.receive({ time: 10.2, played: 2_400, depth: 9_600 }, true);
        const moments = [9, 10.01, 10.05, 10.1, 10.2, 10.25, 11];
        return [before, ...moments.map((time) => clock.at(time))];""",
    )
    assert positions == [0, 0, 480, 2400, 2400, 2400, 4800, 12_000]


def test_each_word_is_taken_once_and_heard_from_its_first_sample(modules: Page) -> None:
    taken, heard = run(
        modules,
        "word-track",
        "WordTrack",
        """const track = new WordTrack();
        track.add([["A", 0, 1, 0], ["bee", 2, 5, 4800], ["sea", 6, 9, 9600]].map(
          ([text, start, end, timestamp]) => ({ text, start, end, timestamp, duration: 4800 })));
        const taken = [0, 4799, 9600, 99_999].map((at) => track.take(at).map(({ text }) => text));
        return [taken, [0, 1, 4800, 4801].map((samples) => track.heard(samples).text_offset)];""",
    )
    assert taken == [["A"], [], ["bee", "sea"], []]
    assert heard == [0, 1, 1, 5]


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en-us-nyc", "American English"),
        ("en-gb-x-rp", "British English"),
        ("pt-br", "Brazilian Portuguese"),
        ("jbo", None),
        ("not a tag", None),
    ],
)
def test_a_language_is_named_as_exactly_as_the_browser_can(
    modules: Page, tag: str, name: str | None
) -> None:
    assert run(modules, "voice-picker", "languageName", f"return languageName('{tag}')") == name


@pytest.mark.parametrize(("fade", "fits"), [(0, True), (5, True), (20, True), (4, False)])
def test_a_fade_is_none_or_long_enough_not_to_click(modules: Page, fade: int, fits: bool) -> None:
    answer = run(
        modules,
        "player",
        "Player",
        f"try {{ new Player({{ fadeMs: {fade} }}); return ''; }} catch (e) {{ return String(e); }}",
    )
    assert answer == ("" if fits else "RangeError: fadeMs is 4: it must be 0, or between 5 and 20.")
