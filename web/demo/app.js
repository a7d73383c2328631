/**
 * The page: joins the connection, the player and the views.  What is worth reusing is elsewhere
 * (voice-client.js, player.js); here is only what this page does with it.
 *
 * `?capture=1` makes the worklet keep what it played and sets window.voiceDemo, for tests;
 * `?decoder=wasm` chooses the Opus decoder.
 */

import { Figures } from "./figures.js";
import { describeClose, describeError, describeOutput } from "./messages.js";
import { PageView } from "./page-view.js";
import { Player } from "./player.js";
import { remembered } from "./remembered.js";
import { replay } from "./llm-simulator.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import { VoiceClient } from "./voice-client.js";
import { VoicePicker } from "./voice-picker.js";
import { MEDIA_RATE } from "./wire.js";

/**
 * One utterance, from the click to its end.
 * @typedef {object} Run
 * @property {Figures} figures
 * @property {import("./voice-context.js").VoiceContext | null} speech
 * @property {string} text everything sent
 */

class DemoPage {
  #view = new PageView(document);
  #transcript = new Transcript(this.#view.get("transcript"));
  #timeline = new Timeline(/** @type {HTMLCanvasElement} */ (this.#view.get("timeline")));
  #picker = new VoicePicker(
    /** @type {HTMLInputElement} */ (this.#view.get("voice")),
    this.#view.get("voices"),
  );
  /** @type {Run | null} */
  #run = null;
  #drawnAt = performance.now();
  /** Those of the last run, also when it is over. @type {Figures | null} */
  figures = null;
  /**
   * What the worklet said at the end of the last stop.
   * @type {import("./player.js").PlayoutStatus | null}
   */
  silent = null;

  /** @param {URLSearchParams} parameters */
  constructor(parameters) {
    this.capture = parameters.get("capture") === "1";
    this.client = new VoiceClient(new URL("v1/speak", location.href));
    const decoder = parameters.get("decoder");
    if (decoder !== null) this.#view.setValue("decoder", decoder);
    this.player = this.#makePlayer();
    this.#listen();
  }

  async open() {
    this.#view.showComposer();
    this.#timeline.draw(performance.now());
    await this.#connect(); // the voices are asked for once it is ready
  }

  #makePlayer() {
    const player = new Player({
      decoder: /** @type {any} */ (this.#view.value("decoder")),
      capture: this.capture,
    });
    /** @param {string} type @param {(detail: any) => void} act */
    const on = (type, act) =>
      player.addEventListener(type, (event) => act(/** @type {any} */ (event).detail));
    for (const type of ["started", "resumed"]) on(type, (status) => this.#soundBegins(status));
    on("tick", (status) => status.playing && this.#timeline.level(performance.now(), status));
    on("finished", () => this.#run !== null && this.#finish(this.#run, "Finished"));
    on("word", (word) => this.#run !== null && this.#transcript.show(word));
    on("underrun", () => this.#soundEnds("underrun"));
    on("drained", () => this.#soundEnds(null));
    on("error", (error) => this.#fail("A packet could not be decoded", error));
    on("output", (state) => this.#onOutput(state));
    return player;
  }

  #listen() {
    const { client } = this;
    const view = this.#view;
    client.addEventListener("state", (event) => this.#onState(/** @type {any} */ (event).detail));
    client.addEventListener("ready", (event) => {
      const { prebuffer_samples: prebuffer } = /** @type {any} */ (event).detail;
      view.setValue("prebuffer", String((prebuffer / MEDIA_RATE) * 1000));
      if (this.#picker.voice === null) this.#loadVoices();
    });
    for (const type of ["error", "warning"]) {
      client.addEventListener(type, (event) => {
        view.showNotice(describeError(/** @type {any} */ (event).detail));
      });
    }
    this.#picker.addEventListener("change", (event) => {
      remembered.set("voice", /** @type {any} */ (event).detail.id);
    });
    view.onClick("speak", (event) => this.#speak(event.timeStamp, this.#sendWhole));
    view.onClick("stream", (event) => this.#speak(event.timeStamp, this.#sendTokens));
    view.onClick("stop", (event) => this.#stop(event.timeStamp));
    view.onClick("reconnect", () => this.#connect());
    view.onClick("resume", () => this.#resumeSound());
    view.onKey((key) => this.#useKey(key));
    view.onEnter((event) => this.#speak(event.timeStamp, this.#sendWhole));
    view.onEscape((event) => this.#stop(event.timeStamp));
    view.onChange("decoder", () => this.#changeDecoder());
    view.onRedraw(() => this.#run === null && this.#timeline.draw(this.#drawnAt));
    view.onFirstGesture(() => this.player.resume().catch(() => {}));
  }

  /** @param {string} key */
  #useKey(key) {
    this.client.apiKey = key;
    this.#view.showNotice(null);
    this.#connect();
  }

  async #connect() {
    await this.client.connect().catch(() => {}); // the state event has told the user
  }

  async #resumeSound() {
    await this.player.resume();
    this.#onOutput(this.player.outputState);
  }

  /** @param {string} state of the AudioContext */
  #onOutput(state) {
    const notice = describeOutput(state);
    if (notice === null) this.#view.clearNotice("resume");
    else if (this.#run !== null) this.#view.showNotice(notice);
  }

  async #changeDecoder() {
    if (this.#run !== null) await this.#stop(performance.now());
    await this.player.close();
    this.player = this.#makePlayer();
  }

  async #loadVoices() {
    const headers = this.client.apiKey ? { Authorization: `Bearer ${this.client.apiKey}` } : {};
    try {
      const response = await fetch("v1/voices", { headers: /** @type {any} */ (headers) });
      if (!response.ok) throw new Error(`The gateway answered with HTTP ${response.status}.`);
      const { voices, default: defaultId } = await response.json();
      this.#picker.setVoices(voices, defaultId);
      this.#picker.select(remembered.get("voice") ?? "");
    } catch (error) {
      this.#fail("The list of voices could not be loaded", error);
    }
  }

  /** @param {import("./voice-client.js").ClientState} state */
  #onState(state) {
    this.#view.showConnection(state);
    const notice = describeClose(state);
    if (notice !== null) this.#view.showNotice(notice);
    else if (state.state === "ready") this.#view.clearNotice("reconnect", "key");
  }

  /**
   * @param {number} clickMs
   * @param {(run: Run) => Promise<void>} send
   */
  async #speak(clickMs, send) {
    const text = this.#view.value("text").trim();
    if (text === "") {
      this.#view.showStatus("Type something to speak first");
      return;
    }
    if (this.#run !== null) await this.#stop(clickMs);
    /** @type {Run} */
    const run = {
      figures: new Figures(clickMs),
      speech: null,
      text,
    };
    this.#begin(run);
    try {
      await Promise.all([this.client.connect(), this.player.resume()]);
      if (this.#run !== run) return;
      const speech = this.client.start(this.#startOptions());
      run.speech = speech;
      this.#follow(run, speech);
      this.player.prebufferSamples = (Number(this.#view.value("prebuffer")) / 1000) * MEDIA_RATE;
      this.player.play(speech);
      await send(run);
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "ConnectionError") {
        this.#fail("This browser could not start the sound", error);
      }
      this.#finish(run, "Not started");
    }
  }

  /** @param {Run} run */
  #sendWhole = async (run) => {
    run.speech?.feed(run.text);
    run.speech?.end();
  };

  /** @param {Run} run */
  #sendTokens = async (run) => {
    const tokens = replay(run.text, {
      tokensPerSecond: Number(this.#view.value("rate")),
      firstTokenMs: Number(this.#view.value("first-token")),
      burst: Number(this.#view.value("burst")),
      signal: run.speech?.signal,
    });
    await run.speech?.speak(tokens);
  };

  #startOptions() {
    const number = (/** @type {string} */ id) => Number(this.#view.value(id)) || undefined;
    return /** @type {import("./voice-context.js").StartOptions} */ ({
      voice: this.#picker.voice?.id,
      speed: number("speed"),
      codec: this.#view.value("codec") || undefined,
      sample_rate: number("sample-rate"),
      bitrate: number("bitrate"),
      frame_duration_ms: number("frame"),
    });
  }

  /** @param {Run} run */
  #begin(run) {
    this.#run = run;
    this.figures = run.figures;
    this.#transcript.clear();
    this.#timeline.begin(run.figures.clickMs);
    this.#view.showNotice(null);
    this.#view.showRunning(true);
    this.#view.showStatus("Waiting for the first words");
    this.#view.showHeard(null, "");
    requestAnimationFrame(() => this.#frame(run));
  }

  /**
   * @param {Run} run
   * @param {import("./voice-context.js").VoiceContext} speech
   */
  #follow(run, speech) {
    const { figures } = run;
    /** @param {string} type @param {(detail: any) => void} act */
    const on = (type, act) =>
      speech.addEventListener(type, (event) => {
        if (this.#run === run) act(/** @type {any} */ (event).detail);
      });
    on("sent", ({ text }) => {
      figures.textSent(performance.now());
      this.#timeline.token(performance.now());
      this.#transcript.append(text);
    });
    on("audio", (message) => {
      figures.audioReceived(performance.now());
      this.#timeline.packet(performance.now(), message);
    });
    on("chunk", (event) => {
      this.#transcript.addChunk(event);
      this.#timeline.chunk(event);
    });
    on("words", (event) => this.#transcript.addWords(event));
    on("started", (event) => this.#view.showFormat(event, this.player.opusDecoder));
    on("warning", (event) => this.#view.showNotice(describeError(event)));
    on("error", (event) => {
      this.#view.showNotice(describeError(event));
      if (speech.gone) this.#finish(run, "Not spoken");
    });
    on("lost", () => this.#finish(run, "The connection was lost"));
  }

  /** @param {number} clickMs */
  async #stop(clickMs) {
    const run = this.#run;
    if (run === null) return;
    const { speech, figures } = run;
    const stopping = this.player.stop({ fadeMs: Number(this.#view.value("fade")) });
    this.player.leave(); // each run has a context of its own, which is ended below
    this.#timeline.soundEnds(performance.now());
    this.#timeline.mark(performance.now(), "stop");
    this.silent = await stopping.silent;
    figures.stopped(clickMs, this.silent);
    this.#finish(run, "Stopped");
    const heard = await stopping.heard;
    if (!speech?.gone) speech?.end();
    figures.heard = heard;
    if (heard === null || this.figures !== figures) return; // another run has begun
    this.#transcript.stopAt(heard.text_offset);
    this.#view.showHeard(heard, run.text);
  }

  /** @param {import("./player.js").PlayoutStatus} status */
  #soundBegins(status) {
    if (this.#run === null) return;
    const now = performance.now();
    this.#run.figures.soundStarted(now);
    this.#timeline.soundBegins(now, status.played);
    this.#view.showStatus("Speaking");
  }

  /** @param {"underrun" | null} mark */
  #soundEnds(mark) {
    if (this.#run === null) return;
    const now = performance.now();
    this.#timeline.soundEnds(now);
    if (mark !== null) this.#timeline.mark(now, mark);
    else if (!this.#run.speech?.gone) this.#view.showStatus("Waiting for more text");
  }

  /**
   * @param {Run} run
   * @param {string} status
   */
  #finish(run, status) {
    if (this.#run !== run) return;
    this.#measure(run);
    this.#run = null;
    this.#transcript.rest();
    this.#view.showRunning(false);
    this.#view.showStatus(status);
    this.#paint(run);
  }

  /** @param {Run} run */
  #frame(run) {
    if (this.#run !== run) return;
    this.#measure(run);
    this.#paint(run);
    requestAnimationFrame(() => this.#frame(run));
  }

  /** @param {Run} run */
  #measure(run) {
    if (run.speech === null || run.figures.interruptionMs !== null) return;
    const { status, position } = this.player;
    run.figures.played(status, position, run.speech.receivedSamples);
  }

  /** @param {Run} run */
  #paint(run) {
    this.#drawnAt = performance.now();
    this.#view.showFigures(run.figures, this.player.outputLatencyMs);
    this.#timeline.draw(this.#drawnAt);
  }

  /**
   * @param {string} title
   * @param {unknown} error
   */
  #fail(title, error) {
    this.#view.showNotice({ title, text: /** @type {Error} */ (error).message, action: null });
  }
}

const page = new DemoPage(new URLSearchParams(location.search));
if (page.capture) /** @type {any} */ (window).voiceDemo = page;
page.open();
