/**
 * The page of agent-loop.js: a conversation with a stand-in for a language model.  To talk to a
 * real one, give SpokenAgent a function that yields its tokens (docs/browser-client.md).
 */

import { SpokenAgent } from "./agent-loop.js";
import { replay } from "./llm-simulator.js";
import { Player } from "./player.js";
import { Transcript } from "./transcript.js";
import { VoiceClient } from "./voice-client.js";

const ANSWERS = [
  "When you interrupt me, your browser fades the sound out within milliseconds and empties its " +
    "buffer. At the same moment it tells the gateway how far you have listened. The gateway " +
    "answers with the last word that you heard, and I forget everything behind it, because you " +
    "never heard that part.",
  "I begin to speak before I know how my sentence ends. The gateway takes my words one by one, " +
    "cuts them into clauses, and keeps the next clause ready, just ahead of your ears. If your " +
    "network stumbles, what lies in the buffer bridges the gap.",
  "Every word carries the time at which it sounds, and the place where it stands in the text. So " +
    "the word that is marked on this page is the one that you are hearing now, even if your " +
    "headphones are a little late.",
];

/** Asked if nothing was typed. */
const QUESTION = "How does an interruption work?";

/** @type {import("./agent-loop.js").Model} */
function* prepared(history) {
  const last = history.at(-2)?.content ?? "";
  const said = history.filter(({ role }) => role === "assistant");
  if (said.length > 0 && !ANSWERS.includes(last) && last !== "") {
    yield `You stopped me after “${last.trim().split(/\s+/).slice(-3).join(" ")}”. `;
  }
  yield ANSWERS[said.length % ANSWERS.length];
}

/** @type {import("./agent-loop.js").Model} */
function model(history, { signal }) {
  const text = [...prepared(history, { signal })].join("");
  return replay(text, { tokensPerSecond: 25, firstTokenMs: 250, signal });
}

class Conversation {
  #agent;
  #player = new Player();
  /** Of the answer that is being spoken. @type {Transcript | null} */
  #transcript = null;

  constructor() {
    const client = new VoiceClient(new URL("v1/speak", location.href));
    this.#agent = new SpokenAgent(client, this.#player, model);
    this.#listen();
    /** For tests. */
    this.agent = this.#agent;
    client.connect().catch((error) => this.#fail(error)); // ready before it is needed
  }

  #listen() {
    /** @param {EventTarget} target @param {string} type @param {(detail: any) => void} act */
    const on = (target, type, act) =>
      target.addEventListener(type, (event) => act(/** @type {any} */ (event).detail));
    on(this.#agent, "answer", ({ speech }) => this.#show(speech));
    on(this.#agent, "token", (token) => this.#transcript?.append(token));
    on(this.#player, "word", (word) => {
      this.#transcript?.show(word);
      keepInSight(get("turns"), get("turns").querySelector(".now"));
    });
    get("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    get("stop").addEventListener("click", () => this.#stop());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#stop());
  }

  async #ask() {
    const field = /** @type {HTMLInputElement} */ (get("question"));
    const question = field.value.trim() || QUESTION;
    field.value = "";
    const sound = this.#player.resume(); // within the user's gesture
    await this.#stop();
    this.#turn("user").textContent = question;
    get("notice").hidden = true;
    this.#setSpeaking(true, "Speaking");
    try {
      await sound;
      const heardAll = await this.#agent.ask(question);
      if (heardAll) this.#rest("Your turn");
    } catch (error) {
      this.#rest("");
      this.#fail(error);
    }
  }

  async #stop() {
    const transcript = this.#transcript;
    const heard = await this.#agent.interrupt();
    if (heard === null) return;
    transcript?.stopAt(heard.text_offset);
    this.#rest(heard.word ? `Interrupted behind “${heard.word}”` : "Interrupted before a word");
  }

  /** @param {import("./voice-context.js").VoiceContext} speech */
  #show(speech) {
    const transcript = new Transcript(this.#turn("assistant"));
    transcript.clear();
    this.#transcript = transcript;
    speech.addEventListener("chunk", (event) => {
      transcript.addChunk(/** @type {any} */ (event).detail);
    });
    speech.addEventListener("words", (event) => {
      transcript.addWords(/** @type {any} */ (event).detail);
    });
  }

  /** @param {"user" | "assistant"} role */
  #turn(role) {
    get("turns").querySelector(".empty")?.remove();
    const item = document.createElement("li");
    item.className = `turn ${role}`;
    const who = document.createElement("span");
    who.className = "visually-hidden";
    who.textContent = role === "user" ? "You: " : "Answer: ";
    const words = document.createElement("div");
    words.className = role === "assistant" ? "said transcript" : "said";
    item.append(who, words);
    get("turns").append(item);
    follow();
    return words;
  }

  /** @param {string} status */
  #rest(status) {
    this.#transcript?.rest();
    this.#setSpeaking(false, status);
  }

  /**
   * @param {boolean} speaking
   * @param {string} status
   */
  #setSpeaking(speaking, status) {
    /** @type {HTMLButtonElement} */ (get("stop")).disabled = !speaking;
    get("status").textContent = status;
  }

  /** @param {unknown} error */
  #fail(error) {
    get("notice").hidden = false;
    get("notice-text").textContent = /** @type {Error} */ (error).message;
  }
}

/** @param {string} id */
function get(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

function follow() {
  const turns = get("turns");
  turns.scrollTop = turns.scrollHeight;
}

/**
 * Scrolls the box only, never the page, and only when the word would leave it.
 * @param {HTMLElement} box
 * @param {Element | null} word
 */
function keepInSight(box, word) {
  if (word === null) return;
  const frame = box.getBoundingClientRect();
  const { bottom, top } = word.getBoundingClientRect();
  if (bottom > frame.bottom - 12) box.scrollTop += bottom - frame.bottom + 60;
  else if (top < frame.top) box.scrollTop -= frame.top - top + 12;
}

const conversation = new Conversation();
if (new URLSearchParams(location.search).get("capture") === "1") {
  /** @type {any} */ (window).conversation = conversation;
}
