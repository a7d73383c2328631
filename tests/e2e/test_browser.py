"""The web demo in a real browser, against a real gateway.

What the page plays is compared, sample by sample, with what libopus makes of the packets that
went over the socket.  Screenshots are left in artifacts/ for people to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute

from gateway.codecs.pcm import PcmDecoder
from tests.e2e.browser_audio import decode, greatest_difference, packets_of
from tests.e2e.browser_page import DemoPage, chromium
from tests.e2e.conftest import start_gateway

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
SENTENCE = "The train to Zürich costs $23.50."
ARTICLE = "Each sentence is spoken while the next one is being written. " * 20
FADE_SAMPLES = 384  # 8 ms
QUANTUM = 128

COLOURS = """() => {
  const canvas = document.getElementById("timeline");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const counts = new Map();
  for (let i = 0; i < data.length; i += 4) {
    const colour = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > 50).map(([colour]) => colour).sort();
}"""
"""The colours of more than 50 pixels of the timeline."""

OpenPage = Callable[..., DemoPage]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Browser, gateway_url: str) -> Iterator[OpenPage]:
    """Opens the demo; afterwards, any console error or request to elsewhere fails the test."""
    pages: list[DemoPage] = []

    def make(query: str = "capture=1", **options: object) -> DemoPage:
        demo = DemoPage(browser.new_page(**options), gateway_url)
        pages.append(demo)
        demo.open(query)
        return demo

    yield make
    for demo in pages:
        demo.page.close()
        assert demo.faults == []
        assert demo.external_requests() == []


@pytest.fixture(scope="module")
def modules(browser: Browser, gateway_url: str) -> Iterator[Page]:
    """A tab for tests that only import modules of the page."""
    page = browser.new_page()
    page.goto(f"{gateway_url}/icon.svg")
    yield page
    page.close()


@pytest.fixture(scope="module", params=["webcodecs", "wasm"])
def spoken(
    request: pytest.FixtureRequest, browser: Browser, gateway_url: str
) -> Iterator[DemoPage]:
    """A tab that has spoken SENTENCE with one of the decoders, and noted the words it lit up."""
    demo = DemoPage(browser.new_page(), gateway_url)
    demo.open(f"capture=1&decoder={request.param}")
    demo.page.evaluate(
        """() => {
          globalThis.lit = [];
          const box = document.getElementById("transcript");
          new MutationObserver(() => {
            const now = box.querySelector(".now")?.textContent;
            if (now && now !== globalThis.lit.at(-1)) globalThis.lit.push(now);
          }).observe(box, { attributes: true, childList: true, subtree: true });
        }"""
    )
    demo.speak(SENTENCE)
    yield demo
    demo.page.close()
    assert demo.faults == []
    assert demo.external_requests() == []


def test_the_page_plays_exactly_the_samples_that_the_gateway_encoded(spoken: DemoPage) -> None:
    started, done = spoken.event("started"), spoken.event("done")
    packets = packets_of(spoken.audio)
    expected = decode(packets, started["preskip_samples"])
    played = spoken.captured()

    assert len(packets) == done["frames"]
    assert len(expected) > 48_000
    assert np.abs(expected).max() > 0.02
    difference, where = greatest_difference(played[: len(expected)], expected)
    assert difference <= 1e-4, f"sample {where} of {len(expected)} differs by {difference}"
    assert np.abs(played[len(expected) :]).max() < 0.01  # the decay of the last sample
    assert spoken.text_of("underruns") == "0"
    decoder = spoken.text_of("decoder-name")
    print(f"{decoder}: {len(expected)} samples, greatest difference {difference:.1e}")


@pytest.mark.parametrize(("codec", "rate"), [("pcm", "48000"), ("pcmu", "8000")])
def test_uncompressed_audio_is_played_sample_by_sample(
    open_page: OpenPage, codec: str, rate: str
) -> None:
    demo = open_page()
    demo.page.click("summary")
    demo.page.select_option("#codec", codec)
    demo.page.select_option("#sample-rate", rate)
    demo.speak("Plain samples.")

    payload = b"".join(packet.payload for packet in packets_of(demo.audio))
    sent = PcmDecoder(codec, int(rate)).decode(payload)
    factor = 48_000 // int(rate)
    played = demo.captured()[: len(sent) * factor]
    assert np.abs(sent).max() > 0.02
    # Between the gateway's samples the page interpolates; on them it must agree, but for the top
    # 6 % of the band, where its filter falls off.
    error = np.sqrt(np.mean((played[::factor] - sent) ** 2) / np.mean(sent**2))
    assert error == 0 if factor == 1 else error < 0.05
    assert demo.text_of("underruns") == "0"


def test_the_decoder_in_use_is_the_one_that_was_asked_for(spoken: DemoPage) -> None:
    shown = {"webcodecs": "WebCodecs", "wasm": "libopus wasm"}
    asked = "wasm" if "decoder=wasm" in spoken.page.url else "webcodecs"
    assert spoken.text_of("decoder-name") == shown[asked]
    vendored = [url for url in spoken.requests if url.endswith("/vendor/opus-decoder.min.js")]
    assert len(vendored) == (1 if asked == "wasm" else 0)


def test_words_light_up_in_the_order_of_the_text(spoken: DemoPage) -> None:
    lit = spoken.page.evaluate("globalThis.lit")
    assert lit == ["The", "train", "to", "Zürich", "costs", "$23.50."]
    assert spoken.text_of("transcript") == SENTENCE


def test_reports_go_out_about_four_times_a_second_while_it_plays(spoken: DemoPage) -> None:
    reports = [command for command in spoken.sent if command["type"] == "report"]
    positions = [report["played_samples"] for report in reports]
    seconds = spoken.event("done")["duration_samples"] / 48_000
    assert positions == sorted(positions)
    assert 2 * seconds < len(reports) < 6 * seconds
    assert all(report["underruns"] == 0 for report in reports)


def test_stop_is_silent_beyond_the_fade_and_tells_what_was_heard(open_page: OpenPage) -> None:
    demo = open_page()
    demo.page.fill("#text", ARTICLE)
    demo.page.click("#stream")
    demo.wait_until_played(48_000)
    demo.page.click("#stop")
    demo.wait_for_status("Stopped")
    demo.page.wait_for_selector("#heard.known")
    demo.page.wait_for_timeout(400)

    played = demo.captured()
    cut = demo.page.evaluate("voiceDemo.silent")
    figures = demo.page.evaluate("({...voiceDemo.figures})")
    started, cancelled = demo.event("started"), demo.event("cancelled")
    cancel = next(command for command in demo.sent if command["type"] == "cancel")
    expected = decode(packets_of(demo.audio), started["preskip_samples"])

    before_fade = cut["played"] - FADE_SAMPLES
    difference, where = greatest_difference(played[:before_fade], expected[:before_fade])
    assert difference <= 1e-4, f"sample {where} differs by {difference}"
    assert np.flatnonzero(played)[-1] < cut["played"]
    assert cut["captured"] - QUANTUM <= cut["played"] <= cut["captured"] + QUANTUM
    assert len(played) - cut["played"] > 0.3 * 48_000  # it listened on, and heard nothing

    assert abs(cancel["played_samples"] - before_fade) < 0.05 * 48_000
    assert 0 < figures["interruptionMs"] < 200
    assert demo.text_of("interruption") == f"{int(figures['interruptionMs'] + 0.5)} ms"
    heard = cancelled["heard"]
    assert ARTICLE[: heard["text_offset"]].rstrip(" .").endswith(heard["word"].rstrip("."))
    assert f"up to “{heard['word']}”: {heard['text_offset']} of" in demo.text_of("heard")
    print(f"stop: {figures['interruptionMs']:.1f} ms from the click to silence")


def test_a_cancelled_context_speaks_again_as_a_new_codec_stream(open_page: OpenPage) -> None:
    demo = open_page()
    begins_at = demo.page.evaluate(
        """async () => {
          const { client, player } = voiceDemo;
          const next = (target, type) => new Promise((resolve) =>
            target.addEventListener(type, (event) => resolve(event.detail), { once: true }));
          await player.resume();
          const speech = client.start();
          player.play(speech);
          const first = next(player, "started");
          speech.feed("This will be interrupted, before it comes to its end. ");
          speech.flush();
          await first;
          await new Promise((resolve) => setTimeout(resolve, 500));
          await player.stop().heard;
          const second = next(player, "started");
          speech.feed("And this is new.");
          speech.end();
          const { captured } = await second;
          await next(player, "drained");
          return captured;
        }"""
    )
    played = demo.captured()
    started = demo.event("started")
    expected = decode(packets_of(demo.audio, generation=1), started["preskip_samples"])

    assert len(expected) > 24_000
    again = played[begins_at : begins_at + len(expected)]
    difference, where = greatest_difference(again, expected)
    assert difference <= 1e-4, f"sample {where} of the second generation differs by {difference}"


def test_stop_after_everything_was_sent_is_answered_by_the_page_itself(
    open_page: OpenPage,
) -> None:
    demo = open_page()
    demo.page.fill("#text", "Short words.")
    demo.page.evaluate(
        """() => new Promise((resolve) => {
          const { client, player } = voiceDemo;
          const start = client.start.bind(client);
          client.start = (options) => {
            const speech = start(options);
            speech.addEventListener("done", () => setTimeout(() => {
              document.getElementById("stop").click();
              resolve();
            }, 100));
            return speech;
          };
          document.getElementById("speak").click();
        })"""
    )
    demo.wait_for_status("Stopped")
    demo.page.wait_for_selector("#heard.known")
    assert not any(command["type"] == "cancel" for command in demo.sent)
    assert "of 12 characters" in demo.text_of("heard")


def test_escape_stops_and_enter_speaks(open_page: OpenPage) -> None:
    demo = open_page()
    demo.page.fill("#text", ARTICLE)
    demo.page.press("#text", "Enter")
    demo.wait_for_status("Speaking")
    assert demo.page.is_enabled("#stop")
    demo.page.keyboard.press("Escape")
    demo.wait_for_status("Stopped")
    assert demo.page.is_disabled("#stop")


def test_g711_and_pcm_expand_to_the_samples_that_the_gateway_means(modules: Page) -> None:
    script = """async ([codec, bytes]) => {
      const { createDecoder } = await import("/decoders.js");
      const blocks = [];
      const sink = { samples: (block) => blocks.push(...block), error: (e) => { throw e; } };
      createDecoder({ codec, sample_rate: 48000 }, "wasm", sink).decode(new Uint8Array(bytes));
      return blocks;
    }"""
    for codec in ("pcmu", "pcma"):
        codes = bytes(range(256))
        expected = PcmDecoder(codec, 48_000).decode(codes)
        assert modules.evaluate(script, [codec, list(codes)]) == expected.tolist()
    words = np.array([0, 1, -1, 32_767, -32_768], "<i2")
    values = modules.evaluate(script, ["pcm", list(words.tobytes())])
    assert values == [0, 1 / 32_768, -1 / 32_768, 32_767 / 32_768, -1]


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_upsampling_keeps_tones_times_and_lengths(modules: Page, factor: int) -> None:
    output = modules.evaluate(
        """async (factor) => {
          const { Upsampler } = await import("/upsampler.js");
          const upsampler = new Upsampler(factor);
          const tone = Float32Array.from({ length: 480 }, (_, n) => Math.sin(0.9 * n));
          const blocks = [];
          for (let i = 0; i < 480; i += 160) blocks.push(upsampler.push(tone.slice(i, i + 160)));
          blocks.push(upsampler.flush());
          return blocks.flatMap((block) => [...block]);
        }""",
        factor,
    )
    assert len(output) == 480 * factor
    middle = np.arange(40 * factor, 440 * factor)
    ideal = np.sin(0.9 * middle / factor)
    assert np.abs(np.array(output)[middle] - ideal).max() < 1e-3


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ([], "at least 16 bytes"),
        ([0x20, *[0] * 15], "version 1, not 2"),
        ([0x10, 1, *[0] * 14], "Frame 0 of 1 has no length"),
        ([0x10, 1, *[0] * 14, 9, 0, 1], "Frame 0 of 1 should have 9 bytes"),
        ([0x10, 0, *[0] * 14, 7], "1 bytes follow"),
    ],
)
def test_a_malformed_audio_message_is_refused_by_name(
    modules: Page, message: list[int], problem: str
) -> None:
    answer = modules.evaluate(
        """async (bytes) => {
          const { decodeAudio } = await import("/wire.js");
          try { decodeAudio(new Uint8Array(bytes).buffer); } catch (error) { return String(error); }
        }""",
        message,
    )
    assert answer.startswith("WireError")
    assert problem in answer


def test_tokens_are_the_text_and_their_schedule_keeps_the_rate(modules: Page) -> None:
    text = "A “naïve” 3,000-word essay…  不 👩‍🚀\nfin"
    tokens, due = modules.evaluate(
        """async (text) => {
          const { schedule, tokenize } = await import("/llm-simulator.js");
          const due = schedule(2000, { tokensPerSecond: 50, firstTokenMs: 300, burst: 1, seed: 3 });
          return [tokenize(text), due];
        }""",
        text,
    )
    assert "".join(tokens) == text
    assert due[0] == 300
    assert due == sorted(due)
    assert (due[-1] - 300) / 2000 == pytest.approx(20, rel=0.1)


def test_halves_of_a_surrogate_pair_are_sent_as_one_and_pages_in_parts(
    open_page: OpenPage,
) -> None:
    demo = open_page()
    demo.page.evaluate(
        r"""() => {
          const speech = voiceDemo.client.start();
          speech.feed("a\ud83d");
          speech.feed("\ude80b");
          speech.feed("\u{1f680}".repeat(6000));
          return speech.cancel();
        }"""
    )
    texts = [command["text"] for command in demo.sent if command["type"] == "text"]
    assert texts[:2] == ["a", "🚀b"]
    assert texts[2:] == ["🚀" * 4000, "🚀" * 2000]


def test_an_unknown_voice_is_explained_in_plain_words(open_page: OpenPage) -> None:
    demo = open_page()
    demo.page.evaluate(
        """() => {
          const { client } = voiceDemo;
          const start = client.start.bind(client);
          client.start = (options) => start({ ...options, voice: "nobody" });
        }"""
    )
    demo.speak("Hello.", until="Not spoken")
    assert "does not accept a setting" in demo.text_of("notice-title")
    assert "nobody" in demo.text_of("notice-text")


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (4401, "failed", "asks for an API key"),
        (1012, "waiting", "Not connected"),
        (1001, "idle", ""),
    ],
)
def test_each_way_to_lose_the_connection_shows_what_to_do(
    browser: Browser, gateway_url: str, code: int, state: str, words: str
) -> None:
    demo = DemoPage(browser.new_page(), gateway_url)
    sockets: list[WebSocketRoute] = []

    def intercept(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    demo.page.route_web_socket("**/v1/speak", intercept)
    demo.open()
    sockets[0].close(code=code)
    demo.page.wait_for_selector(f"#connection[data-state={state}]")
    if words:
        assert words in demo.text_of("notice-title")
    else:
        assert demo.page.is_hidden("#notice")
    assert demo.page.is_visible("#api-key") == (code == 4401)

    if state == "waiting":  # it comes back by itself
        demo.page.wait_for_selector("#connection[data-state=ready]", timeout=5_000)
        assert demo.page.is_hidden("#notice")
    elif state == "idle":  # and when it is needed
        demo.speak("Awake again.")
    assert demo.faults == []
    demo.page.close()


def test_a_gateway_with_keys_is_opened_with_the_key_that_one_types(browser: Browser) -> None:
    gateway = start_gateway(server__api_keys='["open-sesame"]')
    demo = DemoPage(browser.new_page(), gateway.url)
    demo.page.goto(f"{gateway.url}/?capture=1")
    demo.page.wait_for_selector("#key-form:visible")
    assert "asks for an API key" in demo.text_of("notice-title")
    for key, state in (("wrong", "failed"), ("not a token", "failed"), ("open-sesame", "ready")):
        demo.page.fill("#api-key", key)
        demo.page.press("#api-key", "Enter")
        demo.page.wait_for_selector(f"#connection[data-state={state}]")
    demo.page.wait_for_function("() => document.getElementById('voice').value !== ''")
    assert demo.page.is_hidden("#notice")
    assert demo.faults == []
    demo.page.close()
    assert gateway.stop() == 0


def test_the_voice_list_filters_as_one_types_and_obeys_the_keyboard(open_page: OpenPage) -> None:
    demo = open_page()
    chosen = demo.page.input_value("#voice")
    demo.page.focus("#voice")
    everything = demo.page.locator("#voices [role=option]").count()
    demo.page.keyboard.type("german")
    found = demo.page.locator("#voices [role=option]")
    assert 0 < found.count() < everything
    demo.page.keyboard.press("Enter")
    assert demo.page.is_hidden("#voices")
    assert "German" in demo.page.input_value("#voice")

    demo.page.keyboard.press("ArrowDown")
    demo.page.keyboard.type("no such voice")
    assert demo.text_of("voices") == "No voice fits this search."
    demo.page.keyboard.press("Escape")
    assert "German" in demo.page.input_value("#voice") != chosen


def test_every_control_has_a_name_for_screen_readers(open_page: OpenPage) -> None:
    demo = open_page()
    nameless = demo.page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button")]
          .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
          .map((e) => e.id)"""
    )
    assert nameless == []


@pytest.mark.parametrize(
    ("name", "width", "height"), [("desktop", 1280, 1180), ("phone", 390, 844)]
)
def test_the_page_fits_its_window_and_is_photographed(
    open_page: OpenPage, name: str, width: int, height: int
) -> None:
    demo = open_page(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if name == "phone" else 1,
    )
    demo.page.click("#stream")
    demo.wait_until_played(72_000)
    ARTIFACTS.mkdir(exist_ok=True)
    drawings = set()
    for scheme in ("light", "dark"):
        demo.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        demo.page.screenshot(path=ARTIFACTS / f"demo-{name}-{scheme}.png")
        drawings.add(tuple(demo.page.evaluate(COLOURS)))
    if name == "phone":
        demo.page.evaluate("document.querySelector('.listening').scrollIntoView()")
        demo.page.screenshot(path=ARTIFACTS / "demo-phone-listening.png")
    overflow = demo.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow == 0
    assert len(drawings) == 2  # the canvas follows the scheme
    assert all(len(colours) > 6 for colours in drawings)
    demo.page.keyboard.press("Escape")
    demo.wait_for_status("Stopped")
