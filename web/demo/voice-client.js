/**
 * The connection: one WebSocket that speaks voice.v1, and the contexts inside it.
 *
 *     const client = new VoiceClient("wss://example.org/v1/speak");
 *     await client.connect();
 *     const speech = client.startContext({ voice: "en-us" });
 *     speech.addEventListener("audio", ({ detail }) => …);   // or: player.play(speech)
 *     speech.text("Hello "); speech.text("world."); speech.end();
 *
 * This module knows neither the page nor the sound; player.js plays what arrives here.  It sets no
 * timer but the one of the next attempt to connect.
 *
 * States:  idle ──connect()──► connecting ──ready──► ready ──lost──► waiting ──► connecting …
 *          any ──close(), a refusal, idle too long──► idle
 */

import { VoiceContext } from "./voice-context.js";
import { SUBPROTOCOL, WireError, decodeAudio, decodeEvent, encodeCommand } from "./wire.js";

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
const GONE_MAX = 64;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Close codes after which the same attempt would fail again (1002, 1003, 1008, 1009, 4401, 4403)
 * or nobody waits for the answer (1000: we asked for it; 1001: idle too long).
 */
const NO_RETRY = new Set([1000, 1001, 1002, 1003, 1008, 1009, 4401, 4403]);

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
 * @property {number} [code] close code that led here
 * @property {{code: string, message: string} | null} [error] fatal error that preceded the close
 * @property {number} [retryInMs] with `waiting`
 */

/**
 * Events: `state` (ClientState), `ready` (the gateway's message), `warning` and `error` (messages
 * that name no open context).  The detail of a CustomEvent carries each.
 */
export class VoiceClient extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
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
  #attempts = 0;
  #nextId = 1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;

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
    /** The gateway's `ready` message, once connected. @type {any} */
    this.ready = null;
  }

  /**
   * Connect, or wait for the attempt that is under way; at once if connected.
   * @returns {Promise<object>} the gateway's `ready` message
   * @throws {ConnectionError} if the gateway refuses, or goes away before it is ready
   */
  connect() {
    if (this.state === "ready") return Promise.resolve(this.ready);
    if (this.#connecting === null) {
      const { promise, resolve, reject } = deferred();
      promise.catch(() => {}); // an automatic attempt may have no listener
      this.#connecting = { promise, resolve, reject };
    }
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
  startContext(options = {}) {
    if (this.state !== "ready") throw new Error("Call connect() first and wait for it.");
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
    clearTimeout(this.#retryTimer);
    const socket = this.#socket;
    if (socket !== null) {
      socket.close(1000);
      this.#lost(socket, 1000);
    } else {
      this.#settle("idle", { code: 1000 });
    }
  }

  #open() {
    clearTimeout(this.#retryTimer);
    const protocols = [SUBPROTOCOL];
    if (this.apiKey) {
      if (!TOKEN.test(this.apiKey)) {
        const message = "This API key has characters that a browser can't send to the gateway.";
        this.#fatal = { code: "unauthorized", message };
        this.#settle("idle", { code: 4401, error: this.#fatal });
        return;
      }
      protocols.push(`bearer.${this.apiKey}`);
    }
    this.#fatal = null;
    const socket = new WebSocket(this.url, protocols);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (message) => this.#receive(socket, message.data);
    socket.onclose = (close) => this.#lost(socket, close.code);
    this.#socket = socket;
    this.#setState({ state: "connecting" });
  }

  /**
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  #receive(socket, data) {
    if (socket !== this.#socket) return;
    try {
      if (typeof data === "string") this.#receiveEvent(decodeEvent(data));
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
    const message = decodeAudio(data);
    this.#byNumber.get(message.contextNumber)?.receiveAudio(message, performance.now());
  }

  /** @param {any} event */
  #receiveEvent(event) {
    if (event.type === "ready") {
      this.#attempts = 0;
      this.ready = event;
      this.#setState({ state: "ready" });
      this.#connecting?.resolve(event);
      this.#connecting = null;
      this.#emit("ready", event);
      return;
    }
    if (event.type === "error" && event.fatal) this.#fatal = event;
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
    this.ready = null;
    const contexts = [...this.#contexts.values()];
    this.#contexts.clear();
    this.#byNumber.clear();
    this.#gone.clear();
    const error = this.#fatal;
    if (this.autoReconnect && !NO_RETRY.has(code)) {
      const retryInMs = this.#backOffMs();
      this.#retryTimer = setTimeout(() => this.connect().catch(() => {}), retryInMs);
      this.#settle("waiting", { code, error, retryInMs });
    } else {
      this.#settle("idle", { code, error });
    }
    for (const context of contexts) context.receiveLoss(code);
  }

  /** Doubles from half a second; a third of it is random, so that clients don't return as one. */
  #backOffMs() {
    const full = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return Math.round(full * (1 - Math.random() / 3));
  }

  /**
   * @param {"idle" | "waiting"} state
   * @param {{code: number, error?: any, retryInMs?: number}} detail
   */
  #settle(state, detail) {
    const waiter = this.#connecting;
    this.#connecting = null;
    this.#setState({ state, ...detail });
    waiter?.reject(new ConnectionError(detail.code, detail.error ?? null));
  }

  /**
   * @param {string} type
   * @param {Record<string, unknown>} [fields]
   */
  #send(type, fields) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(encodeCommand(type, fields));
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

/** @returns {{promise: Promise<any>, resolve: (value: any) => void, reject: (e: Error) => void}} */
function deferred() {
  /** @type {any} */
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
