"""Conversations in a real browser: the agent's page, and the examples of docs/browser-client.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.e2e.browser_page import chromium
from tests.e2e.conftest import GatewayProcess

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```html\n(.*?)```", (ROOT / "docs/browser-client.md").read_text(), re.S)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab that fails the test if a script of its page fails."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if is_fault(line) else None)
    yield page
    page.close()
    assert faults == []


def is_fault(line: ConsoleMessage) -> bool:
    """No page but those of the demo names an icon, and Chromium asks for one."""
    return line.type == "error" and not line.location["url"].endswith("/favicon.ico")


def open_example(page: Page, gateway: GatewayProcess, number: int) -> None:
    page.goto(f"{gateway.url}/healthz")  # any document of the gateway's origin
    host = gateway.url.removeprefix("http://")
    page.set_content(EXAMPLES[number].replace("127.0.0.1:8000", host))


def test_an_interrupted_answer_ends_in_the_history_behind_the_last_heard_word(
    page: Page, gateway_url: str
) -> None:
    page.goto(f"{gateway_url}/agent.html?capture=1")
    page.click("text=Ask >> nth=-1")
    page.wait_for_selector(".turn.assistant .heard:text-is('browser')")
    page.fill("#question", "And then?")
    page.keyboard.press("Enter")  # barges in
    page.wait_for_selector(".turn.assistant >> nth=1 >> .heard:text-is('stopped')")
    history = page.evaluate("conversation.agent.history")
    assert [message["role"] for message in history] == ["user", "assistant"] * 2
    first = history[1]["content"]
    assert first.startswith("When you interrupt me, your browser")
    assert len(first) < 250  # of 276
    assert history[3]["content"].startswith(
        f"You stopped me after “{' '.join(first.split()[-3:])}”."
    )
    struck_out = page.locator(".turn.assistant >> nth=0 >> .word:not(.heard)").all_inner_texts()
    heard = page.locator(".turn.assistant >> nth=0 >> .word.heard").all_inner_texts()
    assert " ".join(heard).startswith("When you interrupt me, your browser")
    assert " ".join(heard).rstrip(",.") == first.rstrip(",. ")
    assert "part." not in heard
    assert len(struck_out) + len(heard) > len(first.split())
    page.keyboard.press("Escape")
    page.wait_for_selector("#stop:disabled", state="attached")
    assert page.inner_text("#status").startswith("Interrupted")


def test_an_answer_that_was_heard_to_its_end_stays_whole(page: Page, gateway_url: str) -> None:
    page.goto(f"{gateway_url}/healthz")
    heard_all, history, tokens = page.evaluate(
        """async () => {
          const { SpokenAgent } = await import("/agent-loop.js");
          const { Player } = await import("/player.js");
          const { VoiceClient } = await import("/voice-client.js");
          const client = new VoiceClient("/v1/speak");
          const model = (history) => ["Quite ", "short, ", String(history.length), "."];
          const agent = new SpokenAgent(client, new Player(), model);
          const tokens = [];
          agent.addEventListener("token", ({ detail }) => tokens.push(detail));
          const heardAll = await agent.ask("How long?");
          client.close();
          return [heardAll, agent.history, tokens];
        }"""
    )
    assert heard_all is True
    assert tokens == ["Quite ", "short, ", "1", "."]
    assert history[-1] == {"role": "assistant", "content": "Quite short, 1."}


def test_a_cancel_ends_a_model_that_is_waiting_for_its_next_token(
    page: Page, gateway_url: str
) -> None:
    page.goto(f"{gateway_url}/healthz")
    sent_all, aborted, returned = page.evaluate(
        """async () => {
          const { VoiceClient } = await import("/voice-client.js");
          const client = new VoiceClient("/v1/speak");
          await client.connect();
          const speech = client.start();
          const { signal } = speech;
          let returned = false;
          const stuck = {
            [Symbol.asyncIterator]: () => ({
              next: () => new Promise(() => {}),
              return: async () => { returned = true; return { done: true }; },
            }),
          };
          const speaking = speech.speak(stuck);
          await speech.cancel();
          const answer = [await speaking, signal.aborted, returned];
          client.close();
          return answer;
        }"""
    )
    assert (sent_all, aborted, returned) == (False, True, True)


def test_a_model_that_fails_is_silenced_and_its_error_is_passed_on(
    page: Page, gateway_url: str
) -> None:
    page.goto(f"{gateway_url}/healthz")
    message, busy = page.evaluate(
        """async () => {
          const { SpokenAgent } = await import("/agent-loop.js");
          const { Player } = await import("/player.js");
          const { VoiceClient } = await import("/voice-client.js");
          const client = new VoiceClient("/v1/speak");
          async function* model() { yield "Half a "; throw new Error("out of tokens"); }
          const agent = new SpokenAgent(client, new Player(), model);
          const message = await agent.ask("Well?").catch((error) => error.message);
          const { busy } = agent;
          client.close();
          return [message, busy];
        }"""
    )
    assert message == "out of tokens"
    assert busy is False


def test_the_first_example_speaks_marks_words_and_stops(
    page: Page, gateway: GatewayProcess
) -> None:
    open_example(page, gateway, 0)
    page.click("#speak")
    page.wait_for_function("document.querySelector('#said').textContent !== ''")
    page.click("#stop")
    page.wait_for_selector("#said:text('Stopped behind')")
    told = re.search(r"“(\S+)” \((\d+)\)", page.inner_text("#said"))
    assert told is not None
    text = "Words come in any pieces, and are spoken while more are on the way."
    assert text[: int(told[2])].rstrip(",.").endswith(told[1])


def test_the_second_example_asks_and_answers(page: Page, gateway: GatewayProcess) -> None:
    open_example(page, gateway, 1)
    page.click("button")
    page.wait_for_function("document.querySelector('p').textContent !== ''")
    answer = "You asked: What is a jitter buffer? It keeps a little sound in reserve."
    assert page.inner_text("p") == answer


def test_every_example_of_the_document_is_run() -> None:
    assert len(EXAMPLES) == 2
