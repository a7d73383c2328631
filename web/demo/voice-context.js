/**
 * A context: one ordered stream, text in and audio out, inside a connection.
 *
 * A cancel raises the context's generation.  From the call of cancel() until the gateway's answer
 * every audio message is stale and is dropped here, so that a player never sees it.
 */

import { MEDIA_RATE } from "./wire.js";
import { WordTrack } from "./word-track.js";

/** Characters in one `text` message: escaped as JSON they stay below the gateway's 64 KiB. */
const TEXT_UNITS_MAX = 8_000;

/** @typedef {import("./word-track.js").Heard} Heard */

/**
 * What `start` may say; what is left out, the gateway chooses.
 * @typedef {object} StartOptions
 * @property {string} [context] id; made up if missing
 * @property {string} [voice]
 * @property {string} [language]
 * @property {number} [speed] 0.5–2
 * @property {"opus" | "pcm" | "pcmu" | "pcma"} [codec]
 * @property {8000 | 12000 | 16000 | 24000 | 48000} [sample_rate]
 * @property {number} [bitrate] Opus, bit/s
 * @property {20 | 40 | 60} [frame_duration_ms]
 */

/**
 * What the listener has heard; see `report` in docs/protocol.md.
 * @typedef {object} Report
 * @property {number} played_samples handed to the device
 * @property {number} [depth_samples] decoded, waiting
 * @property {number} [underruns]
 * @property {number} [output_latency_samples] what the device holds: handed over, not yet heard
 */

/**
 * Events, each with the gateway's message as `detail`: `started`, `chunk`, `words`, `done`,
 * `cancelled`, `warning`, `error`; besides, `audio` (an AudioMessage of wire.js), `sent`
 * (`{text}`, for logs) and `lost` (`{code}`: the session is gone, nothing more will come).
 * Words as they sound are the player's event `word`.
 */
export class VoiceContext extends EventTarget {
  #send;
  /** A high surrogate whose other half is still to come with the next token. */
  #carry = "";
  /** Who waits for the answer to which cancel. @type {((heard: Heard) => void)[]} */
  #cancels = [];
  /** Aborted where the text that is being written is no longer wanted. */
  #turn = new AbortController();
  #ended = false;
  #playedSamples = 0;
  /** @type {{arrivalMs: number, timestamp: number} | null} */
  #previous = null;
  #jitter = 0;

  /**
   * Made by VoiceClient.start, not by you.
   * @param {string} id
   * @param {(type: string, fields: Record<string, unknown>) => void} send
   */
  constructor(id, send) {
    super();
    this.id = id;
    this.#send = send;
    /** The gateway's `started`, or null before it. @type {any} */
    this.started = null;
    this.generation = 0;
    /** Nothing more will come: done, cancelled after end, refused, or the connection is lost. */
    this.gone = false;
    /** Word times of the present generation. */
    this.words = new WordTrack();
    /** Media time up to which audio of this generation has arrived. */
    this.receivedSamples = 0;
    this.sequenceNumber = -1;
  }

  /**
   * Append text: a token, a word, a page.
   * @param {string} text
   */
  feed(text) {
    if (this.#ended) throw new Error(`The context ${this.id} was ended: it takes no more text.`);
    let rest = this.#carry + text;
    this.#carry = "";
    while (rest.length > 0) {
      let cut = Math.min(rest.length, TEXT_UNITS_MAX);
      if (isHighSurrogate(rest.charCodeAt(cut - 1))) cut -= 1;
      if (cut === 0) break;
      this.#sendText(rest.slice(0, cut));
      rest = rest.slice(cut);
    }
    this.#carry = rest;
  }

  /** Speak what was sent, though no clause ended. */
  flush() {
    this.#command("flush");
  }

  /** No more text; `done` follows the last audio. */
  end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#command("end");
  }

  /** Aborted by the next cancel, and when the session is lost: for whoever makes the text. */
  get signal() {
    return this.#turn.signal;
  }

  /**
   * Speak what an iterator gives, as it gives it, then end.  A cancel ends this at once, also while
   * the iterator waits for its next token; then its `return()` is called.
   * @param {AsyncIterable<string> | Iterable<string>} tokens
   * @returns {Promise<boolean>} whether all of them were sent
   */
  async speak(tokens) {
    const { signal } = this;
    const iterator = iteratorOf(tokens);
    const stopped = new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(null), { once: true });
    });
    try {
      for (;;) {
        const next = signal.aborted ? null : await Promise.race([iterator.next(), stopped]);
        if (next === null || signal.aborted) {
          Promise.resolve(iterator.return?.()).catch(() => {});
          return false;
        }
        if (next.done) break;
        this.feed(next.value);
      }
    } catch (error) {
      if (signal.aborted) return false; // a fetch that was given our signal
      throw error;
    }
    this.end();
    return true;
  }

  /**
   * Silence at once.  The context stays open for the next text, unless it was ended before.
   * @param {{playedSamples?: number}} [what] what the listener will have heard of this generation
   *   when silence begins; Player.stop() knows it
   * @returns {Promise<Heard>} the gateway's answer; if everything had been sent before, or the
   *   session is lost, one of our own making, from the word times
   */
  cancel({ playedSamples = this.#playedSamples } = {}) {
    this.#playedSamples = Math.round(playedSamples);
    this.#carry = "";
    this.#turn.abort();
    if (this.gone) return Promise.resolve(this.words.heard(this.#playedSamples));
    this.#turn = new AbortController();
    this.#command("cancel", { played_samples: this.#playedSamples });
    return new Promise((resolve) => this.#cancels.push(resolve));
  }

  /**
   * Tell the gateway what the listener has heard; it steers its pacing by this.
   * @param {Report} report
   */
  report(report) {
    this.#playedSamples = report.played_samples;
    if (this.gone || this.started === null || this.#cancels.length > 0) return;
    this.#command("report", {
      context_number: this.started.context_number,
      generation: this.generation,
      ...report,
      ...(this.sequenceNumber >= 0 && {
        sequence_number: this.sequenceNumber,
        jitter_samples: Math.round(this.#jitter),
      }),
    });
  }

  /**
   * For VoiceClient: a message of the gateway that names this context.
   * @param {any} event
   */
  receive(event) {
    if (event.type === "started") {
      this.started = event;
      this.generation = event.generation;
    } else if (event.type === "cancelled") {
      this.#receiveCancelled(event);
    } else if (this.#cancels.length > 0 && "generation" in event && event.type !== "done") {
      return; // of a generation that we have already left
    } else if (event.type === "chunk" || event.type === "words") {
      this.words.add(event.words ?? []);
    } else if (event.type === "done") {
      this.#finish();
    } else if (event.type === "error" && (event.fatal || this.started === null)) {
      this.#finish();
    }
    this.#emit(event.type, event);
  }

  /**
   * For VoiceClient: audio of this context.
   * @param {import("./wire.js").AudioMessage} message
   * @param {number} arrivalMs
   */
  receiveAudio(message, arrivalMs) {
    const stale = this.#cancels.length > 0 || message.generation !== (this.generation & 0xffff);
    if (stale) return;
    this.#measureJitter(arrivalMs, message.timestamp);
    this.sequenceNumber = message.sequenceNumber + message.frames.length - 1;
    this.receivedSamples = message.endTimestamp;
    this.#emit("audio", message);
  }

  /** For VoiceClient: the session goes on after a cut, which is no jitter. */
  receiveResumption() {
    this.#previous = null;
  }

  /**
   * For VoiceClient: the session is lost.
   * @param {number} code
   */
  receiveLoss(code) {
    this.#finish();
    this.#emit("lost", { code });
  }

  /** @param {any} event */
  #receiveCancelled(event) {
    this.generation = event.generation;
    this.words.reset();
    this.receivedSamples = 0;
    this.sequenceNumber = -1;
    this.#playedSamples = 0;
    this.#previous = null;
    this.gone = !event.open;
    this.#cancels.shift()?.(event.heard);
  }

  #finish() {
    this.gone = true;
    if (!this.#ended) this.#turn.abort();
    const heard = this.words.heard(this.#playedSamples);
    for (const resolve of this.#cancels.splice(0)) resolve(heard);
  }

  /**
   * Interarrival jitter as RFC 3550, A.8 has it, in media samples.
   * @param {number} arrivalMs
   * @param {number} timestamp
   */
  #measureJitter(arrivalMs, timestamp) {
    if (this.#previous !== null) {
      const arrived = ((arrivalMs - this.#previous.arrivalMs) * MEDIA_RATE) / 1000;
      const difference = Math.abs(arrived - (timestamp - this.#previous.timestamp));
      this.#jitter += (difference - this.#jitter) / 16;
    }
    this.#previous = { arrivalMs, timestamp };
  }

  /** @param {string} text */
  #sendText(text) {
    this.#command("text", { text });
    this.#emit("sent", { text });
  }

  /**
   * @param {string} type
   * @param {Record<string, unknown>} [fields]
   */
  #command(type, fields = {}) {
    if (!this.gone) this.#send(type, { context: this.id, ...fields });
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * @param {any} tokens
 * @returns {AsyncIterator<string> | Iterator<string>}
 */
function iteratorOf(tokens) {
  return (tokens[Symbol.asyncIterator] ?? tokens[Symbol.iterator]).call(tokens);
}

/** @param {number} unit */
function isHighSurrogate(unit) {
  return unit >= 0xd800 && unit <= 0xdbff;
}
