/** The document: reads its fields, shows states and figures.  It decides nothing. */

import { remembered } from "./remembered.js";
import { MEDIA_RATE } from "./wire.js";

const CONNECTION = {
  connecting: "Connecting…",
  ready: "Connected",
  waiting: "Reconnecting…",
  resuming: "Resuming…",
  idle: "Asleep until you speak",
  failed: "Not connected",
};

/** In place of what was heard, until there is something. */
const HEARD_HINT = "Press Stop while it speaks to see which word you heard last.";

/** How each slider's value reads. @type {Record<string, (value: number) => string>} */
const SLIDERS = {
  speed: (value) => `${value.toFixed(2).replace(/0$/, "")}×`,
  rate: (value) => `${value} tokens/s`,
  prebuffer: (value) => `${value} ms`,
  "first-token": (value) => `${value} ms`,
  burst: (value) => `${Math.round(value * 100)} %`,
};

/** Fields that outlive a reload; the prebuffer is the gateway's advice, the voice the picker's. */
const REMEMBERED = [
  "text",
  "speed",
  "rate",
  "codec",
  "sample-rate",
  "bitrate",
  "frame",
  "decoder",
  "fade",
  "first-token",
  "burst",
];

export class PageView {
  #document;
  /** What the notice in sight offers; empty if none is, or nothing. */
  #noticeAction = "";

  /** @param {Document} document */
  constructor(document) {
    this.#document = document;
    for (const id of Object.keys(SLIDERS)) {
      this.get(id).addEventListener("input", () => this.#showSlider(id));
    }
    this.get("text").addEventListener("input", () => this.showComposer());
    this.get("dismiss").addEventListener("click", () => this.showNotice(null));
    this.#remember();
  }

  #remember() {
    for (const id of REMEMBERED) {
      const before = remembered.get(id);
      if (before !== null) this.setValue(id, before);
      this.get(id).addEventListener("input", () => remembered.set(id, this.value(id)));
    }
  }

  /** @param {string} id */
  get(id) {
    return /** @type {HTMLElement} */ (this.#document.getElementById(id));
  }

  /** @param {string} id */
  value(id) {
    return /** @type {HTMLInputElement} */ (this.get(id)).value;
  }

  /**
   * @param {string} id
   * @param {string} value
   */
  setValue(id, value) {
    /** @type {HTMLInputElement} */ (this.get(id)).value = value;
    if (id in SLIDERS) this.#showSlider(id);
  }

  /**
   * @param {string} id
   * @param {(event: MouseEvent) => void} act
   */
  onClick(id, act) {
    this.get(id).addEventListener("click", act);
  }

  /**
   * @param {string} id
   * @param {() => void} act
   */
  onChange(id, act) {
    this.get(id).addEventListener("change", act);
  }

  /** @param {(key: string) => void} act the API key was entered */
  onKey(act) {
    this.get("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      act(this.value("api-key").trim());
    });
  }

  /** @param {(event: KeyboardEvent) => void} act Enter in the text */
  onEnter(act) {
    this.get("text").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      act(event);
    });
  }

  /** @param {(event: KeyboardEvent) => void} act Esc anywhere */
  onEscape(act) {
    this.#document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") act(event);
    });
  }

  /** @param {() => void} act the size or the colours changed, or the page came back in sight */
  onRedraw(act) {
    globalThis.addEventListener("resize", act);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act);
    this.#document.addEventListener("visibilitychange", act);
  }

  /** @param {() => void} act before the click that starts the sound is complete */
  onFirstGesture(act) {
    for (const type of ["pointerdown", "keydown"]) {
      this.#document.addEventListener(type, act, { once: true, capture: true });
    }
  }

  showComposer() {
    const { length } = Array.from(this.value("text"));
    this.get("length").textContent = `${length.toLocaleString("en")} characters`;
    for (const id of Object.keys(SLIDERS)) this.#showSlider(id);
  }

  /** @param {import("./voice-client.js").ClientState} state */
  showConnection({ state, code, resuming }) {
    const asleep = state === "idle" && (code === undefined || code === 1000 || code === 1001);
    const shown = state === "idle" && !asleep ? "failed" : state;
    this.get("connection").dataset.state = shown;
    this.get("connection").textContent = CONNECTION[resuming ? "resuming" : shown];
    this.get("reconnect").hidden = shown !== "failed" && shown !== "waiting";
  }

  /** @param {import("./messages.js").Notice | null} notice */
  showNotice(notice) {
    this.get("notice").hidden = notice === null;
    if (notice === null) {
      this.#noticeAction = "";
      return;
    }
    this.get("notice-title").textContent = notice.title;
    this.get("notice-text").textContent = notice.text;
    this.get("key-form").hidden = notice.action !== "key";
    this.get("resume").hidden = notice.action !== "resume";
    if (notice.action === "key" && this.#noticeAction !== "key") this.get("api-key").focus();
    this.#noticeAction = notice.action ?? "";
  }

  /** @param {...string} actions hide the notice if it offers one of these */
  clearNotice(...actions) {
    if (actions.includes(this.#noticeAction)) this.showNotice(null);
  }

  /** @param {boolean} running */
  showRunning(running) {
    /** @type {HTMLButtonElement} */ (this.get("stop")).disabled = !running;
    this.#document.body.classList.toggle("running", running);
  }

  /** @param {string} status read aloud by screen readers */
  showStatus(status) {
    this.get("status").textContent = status;
  }

  /**
   * @param {any} started the gateway's `started`
   * @param {string | null} opusDecoder
   */
  showFormat(started, opusDecoder) {
    const name = { webcodecs: "WebCodecs", wasm: "libopus wasm" }[opusDecoder ?? ""] ?? "";
    this.get("decoder-name").textContent = started.codec === "opus" ? name : "none needed";
    const kilohertz = `${started.sample_rate / 1000} kHz`;
    const bitrate = started.bitrate ? `, ${Math.round(started.bitrate / 1000)} kbit/s` : "";
    this.get("codec-note").textContent = `${started.codec} ${kilohertz}${bitrate}`;
  }

  /**
   * @param {import("./figures.js").Figures} figures
   * @param {number} outputLatencyMs
   */
  showFigures(figures, outputLatencyMs) {
    const set = (/** @type {string} */ id, /** @type {string} */ text) => {
      this.get(id).textContent = text;
    };
    const stopped = figures.interruptionMs !== null && outputLatencyMs > 0.5;
    const device = stopped ? `, then ${ms(outputLatencyMs)} in the device` : "";
    set("first-audio", ms(figures.firstAudioAfterTextMs));
    set(
      "first-audio-note",
      figures.firstAudioAfterClickMs === null
        ? "from the first token"
        : `from the first token; ${ms(figures.firstAudioAfterClickMs)} from the click`,
    );
    set("interruption", ms(figures.interruptionMs));
    set("interruption-note", `from the click to silence${device}`);
    set("buffer", ms(figures.depthMs));
    set("lead", ms(figures.leadMs));
    set("underruns", String(figures.underruns));
  }

  /**
   * @param {import("./word-track.js").Heard | null} heard
   * @param {string} text everything that was sent
   */
  showHeard(heard, text) {
    const line = this.get("heard");
    line.classList.toggle("known", heard !== null);
    if (heard === null) {
      line.textContent = HEARD_HINT;
      return;
    }
    const total = Array.from(text).length;
    const seconds = (heard.played_samples / MEDIA_RATE).toFixed(1);
    const share = `${heard.text_offset} of ${total} characters`;
    line.textContent = heard.word
      ? `You heard ${seconds} s, up to “${heard.word}”: ${share}.`
      : "You heard nothing of this text.";
  }

  /** @param {string} id */
  #showSlider(id) {
    this.get(`${id}-value`).textContent = SLIDERS[id](Number(this.value(id)));
  }
}

/** @param {number | null} value */
function ms(value) {
  return value === null ? "–" : `${Math.round(value)} ms`;
}
