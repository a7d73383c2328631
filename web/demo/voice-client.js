/**
 * The connection: voice.v1 over one WebSocket at a time, and the contexts inside it.
 *
 *     const client = new VoiceClient("wss://example.org/v1/speak");
 *     await client.connect();
 *     const speech = client.start({ voice: "en-us" });
 *     player.play(speech);                          // or: speech.addEventListener("audio", …)
 *     speech.feed("Hello "); speech.feed("world."); speech.end();
 *
 * This module knows neither the page nor the sound; player.js plays what arrives here.
 *
 * A socket may die while its session lives on.  If the gateway offers it (`resume` in `ready`), a
 * new socket takes the session over: each message arrives exactly once and in order, in both
 * directions, and the contexts never know.  What is sent meanwhile is kept and follows.  Where it
 * is not offered, is refused, or takes longer than the gateway waits, each open context gets
 * `lost`, and the next connection is a new session.
 *
 * States:  idle ──connect()──► connecting ──ready or resumed──► ready ──lost──► waiting
 *          waiting ──after a while──► connecting
 *          any ──close(), a refusal, idle too long──► idle
 */

import { Backoff } from "./backoff.js";
import { SessionLog } from "./session-log.js";
import { Timer, deferred } from "./timing.js";
import { VoiceContext } from "./voice-context.js";
import { SUBPROTOCOL, WireError, decodeAudio, decodeEvent, encodeCommand } from "./wire.js";

/** A resume is tried at once: the listener's buffer lasts a second or so. */
const RESUME_PACE = { firstMs: 100, secondMs: 250, mostMs: 4_000 };
const RETRY_PACE = { firstMs: 500, secondMs: 1_000, mostMs: 15_000 };
/** An attempt that has not come so far is given up: a network may swallow packets for minutes. */
const OPEN_TIMEOUT_MS = 10_000;
/** We acknowledge at least this often what no report acknowledges. */
const ACK_MS = 1_000;
/** Three times what a gateway may take to acknowledge: a socket that is silent so long is dead. */
const SILENCE_MS = 3_000;
const GONE_MAX = 64;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Close codes after which the same attempt would fail again (1002, 1003, 1008, 1009, 4401, 4403),
 * nobody waits for the answer (1000: we asked for it; 1001: idle too long), or another page has
 * taken the session (4409).
 */
const NO_RETRY = new Set([1000, 1001, 1002, 1003, 1008, 1009, 4401, 4403, 4409]);
/** Besides, codes by which the gateway ended the session; any other means that the socket died. */
const SESSION_OVER = new Set([...NO_RETRY, 1007, 1012, 1013, 4404]);

/** A connection that failed: `code` of the WebSocket's close, `error` in the gateway's words. */
export class ConnectionError extends Error {
  name = "ConnectionError";

  /**
   * @param {number} code
   * @param {{code: string, message: string} | null} error
   */
  constructor(code, error) {
    super(error?.message ?? `The connection was closed with code ${code}.`);
    this.code = code;
    this.error = error;
  }
}

/**
 * Detail of the event `state`.
 * @typedef {object} ClientState
 * @property {"idle" | "connecting" | "ready" | "waiting"} state
 * @property {boolean} resuming the session may live on: its contexts are open still
 * @property {number} [code] close code that led here
 * @property {{code: string, message: string} | null} [error] fatal error that preceded the close
 * @property {number} [retryInMs] with `waiting`
 */

/**
 * Events: `state` (ClientState), `ready` (the gateway's message: a new session), `resumed` (the
 * gateway's message: the same session goes on), `warning` and `error` (messages that name no open
 * context).  The detail of a CustomEvent carries each.
 */
export class VoiceClient extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
  /** The session, if it can be resumed. @type {SessionLog | null} */
  #log = null;
  /** When its socket was lost, or null. @type {number | null} */
  #lostAtMs = null;
  /** @type {Map<string, VoiceContext>} */
  #contexts = new Map();
  /** @type {Map<number, VoiceContext>} */
  #byNumber = new Map();
  /** Ids of contexts that ended: a late answer to a command that crossed the end is no news. */
  #gone = new Set();
  /** @type {{promise: Promise<object>, resolve: Function, reject: Function} | null} */
  #connecting = null;
  /** @type {{code: string, message: string} | null} */
  #fatal = null;
  #heardAtMs = 0;
  #nextId = 1;
  #resumePace = new Backoff(RESUME_PACE);
  #retryPace = new Backoff(RETRY_PACE);
  #retryTimer = new Timer(() => this.connect().catch(() => {}));
  #openTimer = new Timer(() => this.#abandon());
  #ackTimer = new Timer(() => this.#acknowledge());
  #silenceTimer = new Timer(() => this.#checkSilence());
  /** Aborted by close(): removes the listeners for the page's sleep and network. */
  #wakeUps = new AbortController();

  /**
   * @param {string | URL} url of `/v1/speak`; http(s) is taken as ws(s)
   * @param {{apiKey?: string, autoReconnect?: boolean}} [options]
   */
  constructor(url, { apiKey = "", autoReconnect = true } = {}) {
    super();
    this.url = new URL(url, globalThis.location?.href);
    this.url.protocol = this.url.protocol.replace(/^http/, "ws");
    /** Sent as a second subprotocol, because browsers can't set headers. */
    this.apiKey = apiKey;
    this.autoReconnect = autoReconnect;
    /** @type {ClientState["state"]} */
    this.state = "idle";
    /** The gateway's `ready` message, while there is a session. @type {any} */
    this.ready = null;
  }

  /** The connection is lost, but the session may be taken up again; contexts are open still. */
  get resuming() {
    return this.#lostAtMs !== null;
  }

  /**
   * Connect, or wait for the attempt that is under way; at once if connected.
   * @returns {Promise<object>} the gateway's `ready` message
   * @throws {ConnectionError} if the gateway refuses, or goes away before it is ready
   */
  connect() {
    if (this.state === "ready") return Promise.resolve(this.ready);
    this.#connecting ??= deferred();
    const { promise } = this.#connecting;
    if (this.#socket === null) this.#open();
    return promise;
  }

  /**
   * Open a context; text may follow at once, before `started` has come.
   * @param {import("./voice-context.js").StartOptions} [options]
   * @returns {VoiceContext}
   * @throws {Error} if not connected, or if the id is in use
   */
  start(options = {}) {
    if (this.ready === null) throw new Error("Call connect() first and wait for it.");
    const id = options.context ?? `c${this.#nextId++}`;
    if (this.#contexts.has(id)) throw new Error(`The context ${id} is already open.`);
    const context = new VoiceContext(id, (type, fields) => this.#send(type, fields));
    this.#gone.delete(id);
    this.#contexts.set(id, context);
    this.#send("start", { ...options, context: id });
    return context;
  }

  /** Close for good; no attempt to connect follows until connect() is called. */
  close() {
    this.#retryTimer.stop();
    this.#wakeUps.abort();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#settle("idle", { code: 1000 }, this.#endSession());
  }

  #open() {
    this.#retryTimer.stop();
    const protocols = [SUBPROTOCOL];
    if (this.apiKey) {
      if (!TOKEN.test(this.apiKey)) {
        const message = "This API key has characters that a browser can't send to the gateway.";
        const error = { code: "unauthorized", message };
        this.#settle("idle", { code: 4401, error }, this.#endSession());
        return;
      }
      protocols.push(`bearer.${this.apiKey}`);
    }
    this.#fatal = null;
    const url = new URL(this.url);
    if (this.#log !== null) url.searchParams.set("resume", this.#log.id);
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (message) => this.#receive(socket, message.data);
    socket.onclose = (close) => this.#lost(socket, close.code);
    this.#socket = socket;
    this.#openTimer.start(OPEN_TIMEOUT_MS);
    this.#listenForWakeUps();
    this.#setState({ state: "connecting", resuming: this.resuming });
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    if (socket !== this.#socket) return;
    if (this.#log === null) {
      this.#openTimer.stop(); // `ready` may take as long as the voices take to load
    } else {
      const { secret, received } = this.#log;
      socket.send(encodeCommand("resume", { secret, received }));
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  #receive(socket, data) {
    if (socket !== this.#socket) return;
    try {
      if (typeof data === "string") this.#receiveEvent(decodeEvent(data), data.length);
      else this.#receiveAudio(data);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fatal = { code: "protocol_violation", message: error.message };
      socket.close(4002, "malformed message");
      this.#lost(socket, 1002);
    }
  }

  /** @param {ArrayBuffer} data */
  #receiveAudio(data) {
    this.#count(data.byteLength, false);
    const message = decodeAudio(data);
    this.#byNumber.get(message.contextNumber)?.receiveAudio(message, performance.now());
  }

  /**
   * @param {any} event
   * @param {number} bytes
   */
  #receiveEvent(event, bytes) {
    if (event.type === "error" && event.fatal) this.#fatal = event;
    if (event.type === "ready") return this.#begin(event);
    if (event.type === "resumed") return this.#goOn(event);
    if (this.state === "ready") this.#count(bytes, event.type === "ack");
    if (event.type === "ack") return this.#acknowledged(event.received);
    const context = this.#contexts.get(event.context);
    if (context === undefined) {
      const late = event.context !== undefined && this.#gone.has(event.context);
      if (!late && (event.type === "error" || event.type === "warning")) {
        this.#emit(event.type, event);
      }
      return;
    }
    if (event.type === "started") this.#byNumber.set(event.context_number, context);
    context.receive(event);
    if (context.gone) this.#forget(context);
  }

  /** A new session. @param {any} ready */
  #begin(ready) {
    const left = this.#endSession(); // a gateway that knows no resuming answered our attempt
    this.ready = ready;
    this.#log = ready.resume ? new SessionLog(ready.session, ready.resume) : null;
    this.#connected();
    // A gateway acknowledges to those who do; then its silence means that the socket is dead.
    if (this.#log !== null) this.#send("ack", {});
    for (const context of left) context.receiveLoss(4404);
    this.#emit("ready", ready);
  }

  /** The session goes on. @param {any} resumed */
  #goOn(resumed) {
    const log = this.#log;
    if (log === null || !log.acknowledge(resumed.received)) {
      throw new WireError(`The gateway says that it took ${resumed.received} messages of ours.`);
    }
    for (const context of this.#contexts.values()) context.receiveResumption();
    for (const message of log.again(performance.now())) this.#socket?.send(message);
    this.#connected();
    this.#ackTimer.startUnlessRunning(ACK_MS);
    this.#emit("resumed", resumed);
  }

  #connected() {
    this.#openTimer.stop();
    this.#lostAtMs = null;
    this.#heardAtMs = performance.now();
    this.#resumePace.reset();
    this.#retryPace.reset();
    this.#setState({ state: "ready", resuming: false });
    this.#connecting?.resolve(this.ready);
    this.#connecting = null;
  }

  /**
   * @param {number} bytes of a message that was taken
   * @param {boolean} isAck
   */
  #count(bytes, isAck) {
    this.#heardAtMs = performance.now();
    const log = this.#log;
    if (log === null) return;
    log.receive(bytes, isAck);
    if (log.owesReportNow) this.#acknowledge();
    else if (log.owesReport) this.#ackTimer.startUnlessRunning(ACK_MS);
  }

  /** Tell what we have taken, unless a report has just done so. */
  #acknowledge() {
    if (this.state === "ready" && this.#log?.owesReport) this.#send("ack", {});
  }

  /** @param {number} received */
  #acknowledged(received) {
    if (this.#log !== null && !this.#log.acknowledge(received)) {
      throw new WireError(`The gateway acknowledges ${received} messages; we sent others.`);
    }
  }

  /** A socket that neither acknowledges nor says anything is dead, though nobody closed it. */
  #checkSilence() {
    const since = this.#log?.waitingSinceMs ?? null;
    if (since === null || this.state !== "ready" || !this.#log?.isAcknowledged) return;
    const silentMs = performance.now() - Math.max(since, this.#heardAtMs);
    if (silentMs >= SILENCE_MS) this.#abandon();
    else this.#silenceTimer.start(SILENCE_MS - silentMs);
  }

  /** Give the present socket up without waiting for its close, which may take minutes. */
  #abandon() {
    const socket = this.#socket;
    if (socket === null) return;
    socket.close(4000, "no sign of life");
    this.#lost(socket, 1006);
  }

  /** @param {VoiceContext} context */
  #forget(context) {
    this.#contexts.delete(context.id);
    if (context.started !== null) this.#byNumber.delete(context.started.context_number);
    this.#gone.add(context.id);
    if (this.#gone.size > GONE_MAX) this.#gone.delete(this.#gone.values().next().value);
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   */
  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#openTimer.stop();
    const nowMs = performance.now();
    if (this.#log !== null) this.#lostAtMs ??= nowMs;
    const error = this.#fatal;
    const left = this.#mayResume(code, nowMs) ? [] : this.#endSession();
    if (!this.autoReconnect || NO_RETRY.has(code)) {
      this.#settle("idle", { code, error }, left);
      return;
    }
    const pace = this.resuming ? this.#resumePace : this.#retryPace;
    const retryInMs = code === 4404 ? 0 : pace.next(Math.random());
    this.#retryTimer.start(retryInMs);
    this.#settle("waiting", { code, error, retryInMs }, left);
  }

  /**
   * @param {number} code
   * @param {number} nowMs
   */
  #mayResume(code, nowMs) {
    const log = this.#log;
    if (log === null || !log.complete) return false;
    if (!this.autoReconnect || SESSION_OVER.has(code)) return false;
    return nowMs - (this.#lostAtMs ?? nowMs) < log.windowMs;
  }

  /**
   * Nothing of this session will come any more.
   * @returns {VoiceContext[]} those that were open, to be told once the state is set
   */
  #endSession() {
    this.#log = null;
    this.#lostAtMs = null;
    this.ready = null;
    this.#ackTimer.stop();
    this.#silenceTimer.stop();
    const contexts = [...this.#contexts.values()];
    this.#contexts.clear();
    this.#byNumber.clear();
    this.#gone.clear();
    return contexts;
  }

  /**
   * @param {"idle" | "waiting"} state
   * @param {{code: number, error?: any, retryInMs?: number}} detail
   * @param {VoiceContext[]} left contexts that end by this
   */
  #settle(state, detail, left) {
    this.#openTimer.stop();
    // Whoever waits for a session that may live on waits for the attempts to come.
    const waiter = this.resuming ? null : this.#connecting;
    if (waiter !== null) this.#connecting = null;
    this.#setState({ state, resuming: this.resuming, ...detail });
    waiter?.reject(new ConnectionError(detail.code, detail.error ?? null));
    for (const context of left) context.receiveLoss(detail.code);
  }

  /**
   * @param {string} type
   * @param {Record<string, unknown>} fields
   */
  #send(type, fields) {
    const log = this.#log;
    const counted = log !== null && (type === "report" || type === "ack");
    const message = encodeCommand(type, counted ? { ...fields, received: log.report() } : fields);
    log?.keep(message, performance.now());
    if (this.state === "ready" && this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(message);
      if (log?.isAcknowledged) this.#silenceTimer.startUnlessRunning(SILENCE_MS);
    }
  }

  /** The page woke, came back in sight, or the network returned: timers may have slept. */
  #listenForWakeUps() {
    if (!this.#wakeUps.signal.aborted && this.state !== "idle") return;
    this.#wakeUps.abort();
    this.#wakeUps = new AbortController();
    const { signal } = this.#wakeUps;
    const wake = () => this.#wakeUp();
    globalThis.addEventListener?.("online", wake, { signal });
    globalThis.addEventListener?.("pageshow", wake, { signal });
    globalThis.document?.addEventListener("visibilitychange", wake, { signal });
    globalThis.document?.addEventListener("resume", wake, { signal });
  }

  #wakeUp() {
    if (this.state === "waiting") this.connect().catch(() => {});
    // An `ack` is answered by one: a dead socket is found out within SILENCE_MS.
    else if (this.state === "ready" && this.#log !== null) this.#send("ack", {});
  }

  /** @param {ClientState} detail */
  #setState(detail) {
    this.state = detail.state;
    this.#emit("state", detail);
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
