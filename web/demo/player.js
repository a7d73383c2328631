/**
 * Sound: decodes the audio of a VoiceContext and plays it through playout-worklet.js.
 *
 *     const player = new Player();
 *     button.onclick = async () => {
 *       await player.resume();            // browsers start sound only upon a user's gesture
 *       player.play(client.startContext({ voice }));
 *     };
 *     stop.onclick = () => player.stop(); // silence now, and a cancel to the gateway
 *
 * It reports to the gateway about four times a second.  The worklet's messages are its clock,
 * not timers, which browsers slow down in hidden pages.
 */

import { createDecoder, pickOpusDecoder } from "./decoders.js";
import { MEDIA_RATE } from "./wire.js";

const REPORT_S = 0.25;
const FADE_MS = 5;
/** A context that is suspended answers no cut; it is silent all the same. */
const CUT_TIMEOUT_MS = 250;

/**
 * What the worklet says; also the detail of the player's events.
 * @typedef {object} PlayoutStatus
 * @property {string} type
 * @property {number} generation
 * @property {number} played media samples of this generation handed to the device
 * @property {number} depth decoded samples that wait
 * @property {number} underruns of this generation
 * @property {number} peak largest magnitude since the last status
 * @property {number} time of the AudioContext, behind the last sample played
 * @property {number} captured samples recorded so far, with `capture`
 * @property {number} cut id of the last cut
 */

/** @type {Readonly<PlayoutStatus>} */
const IDLE = Object.freeze({
  type: "idle",
  generation: 0,
  played: 0,
  depth: 0,
  underruns: 0,
  peak: 0,
  time: 0,
  captured: 0,
  cut: 0,
});

/**
 * @typedef {object} PlayerOptions
 * @property {"auto" | "webcodecs" | "wasm"} [decoder] for Opus
 * @property {number} [prebufferSamples] gathered before a talkspurt starts, media samples
 * @property {number} [fadeMs] length of the fade of stop()
 * @property {boolean} [capture] keep what was played, for captured()
 */

/**
 * Events: `started` (a talkspurt begins to sound), `tick` (about 47 a second while it sounds),
 * `underrun`, `resumed`, `drained` (it ended), each with a PlayoutStatus; `output` (the state of
 * the AudioContext or its device changed; detail: the state); `error` (detail: an Error).
 */
export class Player extends EventTarget {
  #options;
  /** @type {AudioContext | null} */
  #audio = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {Promise<void> | null} */
  #opening = null;
  /** @type {import("./voice-context.js").VoiceContext | null} */
  #speech = null;
  /** Aborted when the player leaves a context: removes its listeners. */
  #attachment = new AbortController();
  /** @type {import("./decoders.js").Decoder | null} */
  #decoder = null;
  /** Counts decoders, so that the worklet knows late samples of an old one. */
  #stream = 0;
  #sounding = false;
  #reportedAt = 0;
  #cuts = 0;
  /** @type {Map<number, () => void>} */
  #cutWaiters = new Map();
  /** @type {((samples: Float32Array) => void)[]} */
  #captureWaiters = [];

  /** @param {PlayerOptions} [options] */
  constructor(options = {}) {
    super();
    const { decoder = "auto", fadeMs = FADE_MS, capture = false } = options;
    this.#options = { decoder, fadeMs, capture };
    /** The decoder that Opus goes through, once known. @type {"webcodecs" | "wasm" | null} */
    this.opusDecoder = null;
    /** Media samples that a talkspurt waits for; the gateway's `ready` suggests a number. */
    this.prebufferSamples = options.prebufferSamples ?? 2_880;
    /** What the worklet said last about the present generation. @type {PlayoutStatus} */
    this.status = IDLE;
    /** What the worklet said when the last stop() was over. @type {PlayoutStatus | null} */
    this.lastCut = null;
  }

  /**
   * Make ready and start the sound; call it from a click or a key press.  Idempotent.
   * @throws {Error} if the browser lacks AudioWorklet or every Opus decoder
   */
  async resume() {
    this.#opening ??= this.#open();
    await this.#opening;
    if (this.#audio?.state !== "running") await this.#audio?.resume();
  }

  /**
   * Play a context from now on; one that still plays is stopped.
   * @param {import("./voice-context.js").VoiceContext} speech
   */
  play(speech) {
    if (this.#speech !== null && this.#speech !== speech) {
      if (!this.#speech.gone || this.#sounding) this.stop();
      this.leave();
    }
    this.#speech = speech;
    this.status = IDLE;
    this.#attachment = new AbortController();
    const { signal } = this.#attachment;
    /** @param {string} type @param {(detail: any) => void} act */
    const on = (type, act) =>
      speech.addEventListener(type, (event) => act(/** @type {any} */ (event).detail), { signal });
    on("started", () => this.#openStream());
    on("cancelled", (event) => event.open && this.#openStream());
    on("audio", (message) => this.#push(message));
    if (speech.started !== null) this.#openStream();
  }

  /**
   * Silence, within one audio quantum and the fade, and a cancel to the gateway.
   * @returns {Promise<{cancelled: Promise<any>, played: number}>} settles when the last audible
   *   sample was handed to the device; `cancelled` is the gateway's answer, `played` what had been
   *   played when stop() was called
   */
  async stop() {
    const played = this.position;
    const silent = this.#cut();
    this.#closeStream();
    const cancelled = Promise.resolve(this.#speech?.cancel({ playedSamples: played }));
    await silent;
    return { cancelled, played };
  }

  /** Take no more audio of the present context; what is in the buffer still plays. */
  leave() {
    this.#attachment.abort();
    this.#speech = null;
  }

  /** Media samples of this generation handed to the device until now. */
  get position() {
    const { played, depth, time } = this.status;
    if (!this.#sounding || this.#audio === null) return played;
    const since = Math.max(0, this.#audio.currentTime - time) * MEDIA_RATE;
    return Math.round(played + Math.min(since, depth));
  }

  /** Media samples that have left the loudspeaker, as far as the browser knows its delay. */
  get audiblePosition() {
    const delay = (this.#audio?.outputLatency ?? 0) * MEDIA_RATE;
    return Math.max(0, Math.round(this.position - delay));
  }

  /** Delay of the device in milliseconds, as far as the browser knows it. */
  get outputLatencyMs() {
    return (this.#audio?.outputLatency ?? 0) * 1000;
  }

  /** True from the first sample of a talkspurt to its end. */
  get sounding() {
    return this.#sounding;
  }

  /** State of the AudioContext: "running", "suspended", "interrupted" or "closed". */
  get outputState() {
    return this.#audio?.state ?? "suspended";
  }

  /**
   * Everything that was played since the first sample, silence included; needs `capture`.
   * @returns {Promise<Float32Array>}
   */
  captured() {
    this.#post({ type: "capture" });
    return new Promise((resolve) => this.#captureWaiters.push(resolve));
  }

  /** Free the device. */
  async close() {
    this.leave();
    this.#closeStream();
    await this.#audio?.close();
  }

  async #open() {
    const { decoder, fadeMs, capture } = this.#options;
    const audio = new AudioContext({ sampleRate: MEDIA_RATE, latencyHint: "interactive" });
    this.#audio = audio;
    if (audio.audioWorklet === undefined) {
      throw new Error("Sound needs a secure page: use https, or localhost.");
    }
    const module = audio.audioWorklet.addModule(new URL("./playout-worklet.js", import.meta.url));
    this.opusDecoder = await pickOpusDecoder(decoder);
    await module;
    this.#node = new AudioWorkletNode(audio, "voice-playout", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { fadeSamples: Math.round((fadeMs / 1000) * MEDIA_RATE), capture },
    });
    this.#node.port.onmessage = ({ data }) => this.#receive(data);
    this.#node.connect(audio.destination);
    this.#watchOutput(audio);
    if (this.#speech?.started) this.#openStream();
  }

  /** @param {AudioContext} audio */
  #watchOutput(audio) {
    const changed = () => {
      this.#report();
      this.#emit("output", audio.state);
    };
    audio.addEventListener("statechange", changed);
    audio.addEventListener("sinkchange", changed);
    navigator.mediaDevices?.addEventListener?.("devicechange", changed);
  }

  /** A new generation is a new codec stream. */
  #openStream() {
    this.#closeStream();
    const speech = this.#speech;
    if (this.#node === null || this.opusDecoder === null || speech === null) return;
    const stream = this.#stream;
    let skip = speech.started.preskip_samples ?? 0;
    const samples = (/** @type {Float32Array} */ block) => {
      if (stream !== this.#stream) return;
      const kept = skip > 0 ? block.slice(Math.min(skip, block.length)) : block;
      skip -= block.length - kept.length;
      if (kept.length === 0) return;
      this.#post({ type: "pcm", generation: stream, samples: kept }, [kept.buffer]);
    };
    const error = (/** @type {Error} */ failure) => this.#emit("error", failure);
    this.#decoder = createDecoder(speech.started, this.opusDecoder, { samples, error });
    this.status = IDLE;
    this.#reportedAt = 0;
    const { prebufferSamples } = this;
    this.#post({ type: "open", generation: stream, prebufferSamples });
  }

  #closeStream() {
    this.#stream += 1;
    this.#decoder?.close();
    this.#decoder = null;
  }

  /** @param {import("./wire.js").AudioMessage} message */
  #push(message) {
    const decoder = this.#decoder;
    if (decoder === null || this.#speech === null) return;
    if (message.last) {
      const position = message.endTimestamp - (this.#speech.started.preskip_samples ?? 0);
      this.#post({ type: "end", generation: this.#stream, position });
    }
    for (const frame of message.frames) decoder.decode(frame);
    if (message.last) decoder.endTalkspurt();
  }

  /** @returns {Promise<void>} settles when the worklet is silent */
  #cut() {
    this.#sounding = false;
    this.#cuts += 1;
    const id = this.#cuts;
    this.#post({ type: "cut", id });
    if (this.outputState !== "running") return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#cutWaiters.get(id)?.(), CUT_TIMEOUT_MS);
      this.#cutWaiters.set(id, () => {
        clearTimeout(timer);
        this.#cutWaiters.delete(id);
        resolve();
      });
    });
  }

  /** @param {any} message */
  #receive(message) {
    if (message.type === "captured") {
      this.#captureWaiters.shift()?.(message.samples);
      return;
    }
    if (message.type === "silent") {
      this.lastCut = message;
      this.#cutWaiters.get(message.cut)?.();
      return;
    }
    if (message.generation !== this.#stream) return;
    this.status = message;
    this.#sounding = message.type !== "drained" && message.type !== "underrun";
    const due = message.time - this.#reportedAt >= REPORT_S;
    if (due || message.type !== "tick") this.#report();
    this.#emit(message.type, message);
  }

  #report() {
    const { played, depth, underruns, time } = this.status;
    this.#reportedAt = time;
    this.#speech?.report({ played_samples: played, depth_samples: depth, underruns });
  }

  /**
   * @param {object} message
   * @param {Transferable[]} [transfer]
   */
  #post(message, transfer = []) {
    this.#node?.port.postMessage(message, transfer);
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
