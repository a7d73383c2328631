/**
 * What a session needs to live on after its socket died: both sides' counts of messages, and our
 * own messages that the gateway has not acknowledged (section "Resume" of docs/protocol.md).
 *
 *     sent        1 ─────── acknowledged ─────── sent
 *                  forgotten │  kept, sent again  │
 *     received    1 ────────────────────────── received      told with each report, or by `ack`
 *
 * It is told what happened and when (milliseconds of performance.now()); it reads no clock, and
 * holds at most `bytesMax` of messages.
 */

/** UTF-16 units of our own messages that are kept; about eight pages of text. */
export const KEPT_UNITS_MAX = 1 << 20;
/** The gateway keeps 256 KiB for us by default: acknowledge long before. */
export const REPORT_BYTES = 32 * 1024;

export class SessionLog {
  /** @type {{message: string, atMs: number}[]} */
  #kept = [];
  #keptUnits = 0;
  #unitsMax;
  #acknowledged = 0;
  #bytesSinceReport = 0;
  /** Something besides acknowledgements came since we last told our count. */
  #owes = false;
  /** The gateway's messages that we have taken. */
  received = 1; // `ready`

  /**
   * @param {string} id of the session
   * @param {{secret: string, window_s: number}} resume of the gateway's `ready`
   * @param {{unitsMax?: number}} [limits]
   */
  constructor(id, { secret, window_s: windowS }, { unitsMax = KEPT_UNITS_MAX } = {}) {
    this.id = id;
    this.secret = secret;
    this.windowMs = windowS * 1000;
    this.#unitsMax = unitsMax;
    /** False once too much was kept: a message that the gateway may lack is forgotten. */
    this.complete = true;
  }

  /** Our messages so far. */
  get sent() {
    return this.#acknowledged + this.#kept.length;
  }

  /** Whether the gateway ever acknowledged: only then does its silence mean something. */
  get isAcknowledged() {
    return this.#acknowledged > 0;
  }

  /** When the oldest message that is not acknowledged was sent, or null. */
  get waitingSinceMs() {
    return this.#kept[0]?.atMs ?? null;
  }

  /** Whether the gateway waits to hear what we have taken. */
  get owesReport() {
    return this.#owes;
  }

  /** Whether it should hear so now, before its own log is full. */
  get owesReportNow() {
    return this.#bytesSinceReport >= REPORT_BYTES;
  }

  /**
   * A message of the gateway was taken.
   * @param {number} bytes
   * @param {boolean} isAck an acknowledgement is not acknowledged, or the two would never end
   */
  receive(bytes, isAck) {
    this.received += 1;
    this.#bytesSinceReport += bytes;
    if (!isAck) this.#owes = true;
  }

  /** `received` goes out now. @returns {number} */
  report() {
    this.#bytesSinceReport = 0;
    this.#owes = false;
    return this.received;
  }

  /**
   * A message goes out now, or would if there were a socket.
   * @param {string} message
   * @param {number} nowMs
   */
  keep(message, nowMs) {
    if (!this.complete) return;
    this.#kept.push({ message, atMs: nowMs });
    this.#keptUnits += message.length;
    if (this.#keptUnits > this.#unitsMax) {
      this.complete = false;
      this.#kept = [];
    }
  }

  /**
   * The gateway has taken our messages up to that number.
   * @param {number} number
   * @returns {boolean} false if it can't have: never sent, or forgotten already
   */
  acknowledge(number) {
    if (!this.complete) return true;
    const known = Number.isInteger(number) && number <= this.sent;
    if (!known || number < this.#acknowledged) return false;
    for (const { message } of this.#kept.splice(0, number - this.#acknowledged)) {
      this.#keptUnits -= message.length;
    }
    this.#acknowledged = number;
    return true;
  }

  /**
   * Our messages that the gateway has not acknowledged, in order; they are sent again now.
   * @param {number} nowMs
   * @returns {string[]}
   */
  again(nowMs) {
    for (const kept of this.#kept) kept.atMs = nowMs;
    return this.#kept.map(({ message }) => message);
  }
}
