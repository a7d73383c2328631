"""How long after a click on Stop sound still leaves the worklet, and whether the word agrees.

    python -m tests.e2e.interruption [--trials 100] [--decoder webcodecs|wasm] [--json]

Each trial speaks a text on the demo page, clicks Stop with the mouse at a random moment, and asks:

- *click to silence*: from the click's own time stamp to the moment at which process() of the
  worklet handed over the last sample above -80 dBFS, both brought to one clock (±1 ms).  The delay
  of the device behind it, which no page can shorten, is printed beside it.
- *sound after the click*: the same on the sample counter, from the page's estimate of the playout
  point in the click to the last sample.  It is what the listener hears too much.
- *word*: the engine's word times at the worklet's own counter when the cut reached it, against the
  word in the gateway's answer; and the samples that the worklet put out against libopus' output of
  the packets, so that the counter is known to be the media time of the engine.

A trial in which the listener ran dry before the click is made again: after a gap the samples that
were put out can't be laid against the stream.

It exits with 1 if the p99 is over 30 ms, a word disagrees, or a sample does.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser

from tests.e2e.browser_audio import decode, packets_of
from tests.e2e.browser_page import ENCODE_BASE64, DemoPage, chromium
from tests.e2e.conftest import start_gateway

TEXT = "Each sentence is spoken while the next one is still being written by the model. " * 8
LIMIT_MS = 30.0
INAUDIBLE = 1e-4
DIFFERENCE_MAX = 1e-4

TRIAL = """async () => {
  const { player, figures, silent } = voiceDemo;
  return { interruptionMs: figures.interruptionMs, latencyMs: player.outputLatencyMs, silent };
}"""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trial:
    """Times in milliseconds, positions in media samples."""

    click_to_silence_ms: float
    sound_after_click_ms: float
    device_ms: float
    position_error_ms: float
    word_told: str
    word_played: str
    on_the_border: bool
    """A word began between the two positions: either answer is right."""
    sample_difference: float

    @property
    def agrees(self) -> bool:
        return self.word_told == self.word_played or self.on_the_border


def run_trial(demo: DemoPage, wait_ms: float) -> Trial | None:
    """One click on Stop; None if the listener ran dry before it."""
    demo.audio.clear()
    demo.received.clear()
    demo.sent.clear()
    demo.page.evaluate("voiceDemo.figures = null")
    before = demo.page.evaluate("voiceDemo.player.captured().then((all) => all.length)")
    demo.page.click("#speak")
    demo.wait_for_status("Speaking")
    demo.page.wait_for_timeout(wait_ms)
    demo.page.click("#stop")
    demo.page.wait_for_function("() => voiceDemo.figures?.heard")
    figures = demo.page.evaluate(TRIAL)
    if figures["silent"]["underruns"] > 0:
        return None
    slice_of = f"voiceDemo.player.captured().then((all) => all.slice({before})).then"
    encoded = demo.page.evaluate(f"{slice_of}({ENCODE_BASE64})")
    return judge(demo, figures, np.frombuffer(base64.b64decode(encoded), "<f4"))


def judge(demo: DemoPage, figures: dict[str, Any], output: Samples) -> Trial:
    """``output``: everything that the worklet put out since the end of the trial before."""
    silent = figures["silent"]
    cut_at, played = silent["cutAt"], silent["played"]
    cancel = next(command for command in demo.sent if command["type"] == "cancel")
    told = cancel["played_samples"]
    words = [word for event in demo.received for word in event.get("words", [])]
    first, last = sorted((told, cut_at))
    expected = decode(packets_of(demo.audio), demo.event("started")["preskip_samples"])
    begin = int(np.flatnonzero(np.abs(output) > 0)[0]) - leading_zeros(expected)
    difference = np.abs(output[begin : begin + cut_at] - expected[:cut_at]).max()
    faded = output[begin : begin + played]
    audible = int(np.flatnonzero(np.abs(faded) > INAUDIBLE)[-1]) + 1
    trailing_ms = (played - audible) / 48
    assert np.abs(output[begin + played :]).max(initial=0) <= INAUDIBLE, "sound after the fade"
    return Trial(
        click_to_silence_ms=figures["interruptionMs"] - trailing_ms,
        sound_after_click_ms=(audible - told) / 48,
        device_ms=figures["latencyMs"],
        position_error_ms=(told - cut_at) / 48,
        word_told=demo.event("cancelled")["heard"]["word"],
        word_played=word_at(words, cut_at),
        on_the_border=any(first <= word["timestamp"] <= last for word in words),
        sample_difference=float(difference),
    )


def leading_zeros(samples: Samples) -> int:
    return int(np.flatnonzero(samples)[0])


def word_at(words: Sequence[dict[str, Any]], samples: int) -> str:
    """The last word of which a sample is among the first ``samples``."""
    begun = [word["text"] for word in words if word["timestamp"] < samples]
    return begun[-1] if begun else ""


def trials(browser: Browser, url: str, *, count: int, decoder: str) -> Iterator[Trial]:
    """``count`` clicks in one tab; the first one, which opens the sound device, is not counted."""
    demo = DemoPage(browser.new_page(), url)
    demo.open(f"capture=1&decoder={decoder}")
    demo.page.fill("#text", TEXT)
    moments = random.Random(7)
    run_trial(demo, 200)
    left = count
    for _ in range(2 * count):
        trial = run_trial(demo, moments.uniform(150, 450))
        if trial is not None:
            yield trial
            left -= 1
        if left == 0:
            break
    assert left == 0, "in half of the trials the listener ran dry: the machine is too busy"
    assert demo.faults == []
    demo.page.close()


def summary(done: Sequence[Trial]) -> dict[str, Any]:
    """Quantiles by the nearest rank."""

    def quantiles(values: Sequence[float]) -> dict[str, float]:
        ranked = np.array(sorted(values))
        ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        last = len(ranked) - 1
        return {
            name: round(float(ranked[min(last, int(np.ceil(q * len(ranked))) - 1)]), 2)
            for name, q in ranks.items()
        }

    return {
        "trials": len(done),
        "click_to_silence_ms": quantiles([one.click_to_silence_ms for one in done]),
        "sound_after_click_ms": quantiles([one.sound_after_click_ms for one in done]),
        "device_ms": quantiles([one.device_ms for one in done]),
        "position_error_ms": quantiles([abs(one.position_error_ms) for one in done]),
        "words_that_agree": sum(one.word_told == one.word_played for one in done),
        "words_on_the_border": sum(one.on_the_border for one in done),
        "words_that_disagree": sum(not one.agrees for one in done),
        "sample_difference_max": max(one.sample_difference for one in done),
    }


def passed(figures: dict[str, Any]) -> bool:
    return bool(
        figures["click_to_silence_ms"]["p99"] <= LIMIT_MS
        and figures["words_that_disagree"] == 0
        and figures["sample_difference_max"] <= DIFFERENCE_MAX
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="from a click on Stop to silence")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--decoder", choices=("webcodecs", "wasm"), default="webcodecs")
    parser.add_argument("--json", action="store_true", help="print every trial, too")
    options = parser.parse_args()
    gateway = start_gateway()
    try:
        with chromium() as browser:
            done = list(trials(browser, gateway.url, count=options.trials, decoder=options.decoder))
    finally:
        gateway.stop()
    figures = summary(done)
    if options.json:
        print(json.dumps({**figures, "each": [asdict(one) for one in done]}))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")
        print(f"p99 {figures['click_to_silence_ms']['p99']} ms, limit {LIMIT_MS} ms")
    return 0 if passed(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
