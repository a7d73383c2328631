/**
 * Sound: decodes the audio of a VoiceContext and plays it through playout-worklet.js.
 *
 *     const player = new Player();
 *     button.onclick = async () => {
 *       await player.resume();            // browsers start sound only upon a user's gesture
 *       player.play(client.start({ voice }));
 *     };
 *     stop.onclick = async () => {
 *       const { silent, heard } = player.stop(); // a cut for the worklet, a cancel for the gateway
 *       console.log((await heard).word);
 *     };
 *
 * It reports to the gateway four times a second.  The worklet's messages are its clock, not
 * timers, which browsers slow down in hidden pages; only while the browser has paused the sound,
 * and with it the worklet, a timer says once a second that nothing is being heard.  A paused sound
 * is started again when a device comes, the page is seen, or its user does something.
 */

import { createDecoder, pickOpusDecoder } from "./decoders.js";
import { PlayoutClock } from "./playout-clock.js";
import { Timer } from "./timing.js";
import { MEDIA_RATE } from "./wire.js";

const REPORT_S = 0.25;
const PAUSED_REPORT_MS = 1_000;
const FADE_MS = 8;
const FADE_MS_MAX = 20;
/** A context that is suspended answers no cut; it is silent all the same. */
const CUT_TIMEOUT_MS = 250;
/** No device of today takes longer to be heard; the worklet's ticks end soon after. */
const OUTPUT_LATENCY_MS_MAX = 1_900;
/** What is decoded so late after the last sound is lost: don't wait for it. */
const DECODE_S_MAX = 0.5;
/** The worklet speaks 47 times a second: a word is told within half of that of its moment. */
const HALF_TICK_SAMPLES = 512;

/**
 * What the worklet says; also the detail of the player's events.
 * @typedef {object} PlayoutStatus
 * @property {string} type
 * @property {number} generation counts codec streams
 * @property {boolean} playing whether more sounds after `time`
 * @property {number} played media samples of this generation handed to the device
 * @property {number} depth decoded samples that wait
 * @property {number} underruns of this generation
 * @property {number} peak largest magnitude since the last status
 * @property {number} time of the AudioContext, behind the last sample played
 * @property {number} captured samples recorded so far, with `capture`
 * @property {number} cut id of the last cut
 * @property {number} cutAt samples played when that cut reached the worklet
 * @property {number} wallMs with `silent`: when, by Date.now() in the worklet, the last audible
 *   sample was handed to the device
 * @property {number} [silentMs] the same by performance.now()
 */

/** @type {Readonly<PlayoutStatus>} */
const IDLE = Object.freeze({
  type: "idle",
  generation: 0,
  playing: false,
  played: 0,
  depth: 0,
  underruns: 0,
  peak: 0,
  time: 0,
  captured: 0,
  cut: 0,
  cutAt: 0,
  wallMs: 0,
});

/** @typedef {import("./word-track.js").Heard} Heard */

/**
 * @typedef {object} PlayerOptions
 * @property {"auto" | "webcodecs" | "wasm"} [decoder] for Opus
 * @property {number} [prebufferSamples] gathered before a talkspurt starts, media samples
 * @property {number} [fadeMs] how stop() ends: 0 at once, else a fade of 5–20 ms
 * @property {boolean} [capture] keep what was played, for captured()
 */

/**
 * Events: `started` (a talkspurt begins to sound), `tick` (about 47 a second while it sounds, and
 * for two seconds after), `underrun`, `resumed`, `drained` (it ended), each with a PlayoutStatus;
 * `word` (a Word of word-track.js begins to be heard); `finished` (all that came of a context that
 * is over has been heard; not after stop()); `output` (the state of the AudioContext or its device
 * changed; detail: the state); `error` (detail: an Error).
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
  /** Aborted by close(): removes the listeners for the device and the page. */
  #watching = new AbortController();
  /** @type {import("./decoders.js").Decoder | null} */
  #decoder = null;
  /** Counts decoders, so that the worklet knows late samples of an old one. */
  #stream = 0;
  #clock = new PlayoutClock();
  #reportedAt = 0;
  /** When the worklet ran dry last, by the AudioContext's time. */
  #quietSince = 0;
  #finished = false;
  #pausedTimer = new Timer(() => this.#onPause());
  #cuts = 0;
  /** @type {Map<number, (status: PlayoutStatus) => void>} */
  #cutWaiters = new Map();
  /** @type {((samples: Float32Array) => void)[]} */
  #captureWaiters = [];

  /**
   * @param {PlayerOptions} [options]
   * @throws {RangeError} if `fadeMs` is neither 0 nor between 5 and 20
   */
  constructor(options = {}) {
    super();
    const { decoder = "auto", fadeMs = FADE_MS, capture = false } = options;
    this.#options = { decoder, fadeSamples: fadeSamples(fadeMs), capture };
    /** The decoder that Opus goes through, once known. @type {"webcodecs" | "wasm" | null} */
    this.opusDecoder = null;
    /** Media samples that a talkspurt waits for; the gateway's `ready` suggests a number. */
    this.prebufferSamples = options.prebufferSamples ?? 2_880;
    /** What the worklet said last about the present generation. @type {PlayoutStatus} */
    this.status = IDLE;
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
      if (!this.#speech.gone || this.sounding) this.stop();
      this.leave();
    }
    this.#speech = speech;
    this.#reset();
    this.#attachment = new AbortController();
    const { signal } = this.#attachment;
    /** @param {string} type @param {(detail: any) => void} act */
    const on = (type, act) =>
      speech.addEventListener(type, (event) => act(/** @type {any} */ (event).detail), { signal });
    on("started", () => this.#openStream());
    on("cancelled", (event) => event.open && this.#openStream());
    on("audio", (message) => this.#push(message));
    for (const type of ["done", "lost", "error"]) on(type, () => this.#checkFinished());
    if (speech.started !== null) this.#openStream();
  }

  /**
   * Silence, within one audio quantum and the fade, and a cancel to the gateway, at once.
   * @param {{fadeMs?: number}} [how] another fade than that of the player
   * @returns {{silent: Promise<PlayoutStatus>, heard: Promise<Heard | null>}} `silent`: the last
   *   audible sample was handed to the device; `heard`: the answer to the cancel, null if nothing
   *   was being played
   * @throws {RangeError} if `fadeMs` is neither 0 nor between 5 and 20
   */
  stop({ fadeMs } = {}) {
    const fade = fadeMs === undefined ? this.#options.fadeSamples : fadeSamples(fadeMs);
    const playedSamples = this.position;
    this.#finished = true;
    const silent = this.#cut(fade);
    this.#closeStream();
    const heard = Promise.resolve(this.#speech?.cancel({ playedSamples }) ?? null);
    return { silent, heard };
  }

  /** Take no more audio of the present context; what is in the buffer still plays. */
  leave() {
    this.#attachment.abort();
    this.#speech = null;
  }

  /** Media samples of this generation handed to the device until now. */
  get position() {
    return this.#clock.at(this.#audio?.currentTime ?? 0);
  }

  /** Media samples of this generation that have reached the ear, as far as the browser knows. */
  get audiblePosition() {
    return this.#clock.at((this.#audio?.currentTime ?? 0) - this.outputLatencyMs / 1000);
  }

  /**
   * Milliseconds from the worklet to the ear.  Where a browser does not tell (`outputLatency`),
   * it is at least the delay of its own graph.
   */
  get outputLatencyMs() {
    const told = (this.#audio?.outputLatency || this.#audio?.baseLatency || 0) * 1000;
    return Math.min(told, OUTPUT_LATENCY_MS_MAX);
  }

  /** True from the first sample of a talkspurt to its end, but not in an underrun. */
  get sounding() {
    return this.status.playing;
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
    if (this.#node === null) return Promise.resolve(new Float32Array(0));
    this.#post({ type: "capture" });
    return new Promise((resolve) => this.#captureWaiters.push(resolve));
  }

  /** Free the device. */
  async close() {
    this.leave();
    this.#closeStream();
    this.#watching.abort();
    this.#pausedTimer.stop();
    await this.#audio?.close();
  }

  async #open() {
    const { decoder, capture } = this.#options;
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
      processorOptions: { fadeSamplesMax: fadeSamples(FADE_MS_MAX), capture },
    });
    this.#node.port.onmessage = ({ data }) => this.#receive(data);
    this.#node.connect(audio.destination);
    this.#watchOutput(audio);
    if (this.#speech?.started) this.#openStream();
  }

  /**
   * The device's rate is the browser's business: the AudioContext stays at 48 kHz, and is resampled
   * where a new device differs.
   * @param {AudioContext} audio
   */
  #watchOutput(audio) {
    const { signal } = this.#watching;
    const changed = () => this.#onOutput();
    for (const type of ["statechange", "sinkchange", "error"]) {
      audio.addEventListener(type, changed, { signal });
    }
    navigator.mediaDevices?.addEventListener?.("devicechange", changed, { signal });
    document.addEventListener("visibilitychange", changed, { signal });
    const revive = () => this.#revive();
    for (const type of ["pointerdown", "keydown"]) {
      document.addEventListener(type, revive, { signal, capture: true });
    }
  }

  /** The sound was paused, goes on, or comes out of another device, whose delay is another one. */
  #onOutput() {
    if (this.outputState === "running") this.#pausedTimer.stop();
    else this.#pausedTimer.startUnlessRunning(PAUSED_REPORT_MS);
    this.#report();
    this.#revive();
    this.#emit("output", this.outputState);
  }

  #onPause() {
    if (this.outputState === "running" || this.#speech === null) return;
    this.#report();
    this.#pausedTimer.start(PAUSED_REPORT_MS);
  }

  /** A call that took the loudspeaker is over, or a headset is back: nobody else starts us. */
  #revive() {
    const audio = this.#audio;
    if (audio === null || audio.state === "running" || audio.state === "closed") return;
    audio.resume().catch(() => {}); // not yet; the next occasion tries again
  }

  #reset() {
    this.status = IDLE;
    this.#clock.reset();
    this.#reportedAt = 0;
    this.#finished = false;
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
    this.#reset();
    const { prebufferSamples } = this;
    const { fadeSamples: fade } = this.#options;
    this.#post({ type: "open", generation: stream, prebufferSamples, fadeSamples: fade });
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

  /**
   * @param {number} fade samples
   * @returns {Promise<PlayoutStatus>} settles when the worklet is silent
   */
  #cut(fade) {
    this.#cuts += 1;
    const id = this.#cuts;
    this.#post({ type: "cut", id, fadeSamples: fade });
    const last = { ...this.status, playing: false };
    const time = this.#audio?.currentTime ?? 0;
    this.#clock.receive({ time, played: this.position, depth: 0 }, false);
    this.status = last;
    if (this.outputState !== "running") return Promise.resolve(last);
    return new Promise((resolve) => {
      const timer = new Timer(() => this.#cutWaiters.get(id)?.(last));
      timer.start(CUT_TIMEOUT_MS);
      this.#cutWaiters.set(id, (status) => {
        timer.stop();
        this.#cutWaiters.delete(id);
        resolve(status);
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
      // Now, because the two clocks part when a computer sleeps.
      message.silentMs = message.wallMs - Date.now() + performance.now();
      this.#cutWaiters.get(message.cut)?.(message);
      return;
    }
    if (message.generation !== this.#stream) return;
    this.status = message;
    this.#clock.receive(message, message.playing);
    const due = message.time - this.#reportedAt >= REPORT_S;
    if (due || message.type !== "tick") this.#report();
    if (message.type === "underrun" || message.type === "drained") this.#quietSince = message.time;
    this.#emit(message.type, message);
    this.#tellWords();
    this.#checkFinished();
  }

  #tellWords() {
    const audible = this.audiblePosition + HALF_TICK_SAMPLES;
    for (const word of this.#speech?.words.take(audible) ?? []) this.#emit("word", word);
  }

  #checkFinished() {
    const speech = this.#speech;
    const { playing, played, depth, time } = this.status;
    if (this.#finished || !speech?.gone || playing || depth > 0) return;
    const due = speech.receivedSamples - (speech.started?.preskip_samples ?? 0);
    const missing = played < due && time - this.#quietSince < DECODE_S_MAX;
    if (missing || this.audiblePosition < played) return;
    this.#finished = true;
    this.#emit("finished", this.status);
  }

  #report() {
    const { depth, underruns, time, played } = this.status;
    this.#reportedAt = time;
    this.#speech?.report({
      played_samples: played,
      depth_samples: depth,
      underruns,
      output_latency_samples: Math.round((this.outputLatencyMs / 1000) * MEDIA_RATE),
    });
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

/**
 * @param {number} ms
 * @returns {number} samples
 */
function fadeSamples(ms) {
  if (ms !== 0 && !(ms >= 5 && ms <= FADE_MS_MAX)) {
    throw new RangeError(`fadeMs is ${ms}: it must be 0, or between 5 and ${FADE_MS_MAX}.`);
  }
  return Math.round((ms / 1000) * MEDIA_RATE);
}
