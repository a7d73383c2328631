/**
 * What happened when, as swimlanes on a canvas: text sent, chunks, audio received, buffer depth,
 * sound, and marks for underruns and stops.
 *
 * Times are milliseconds of performance.now(); the axis starts at the click.  Chunks lie where they
 * sound: past ones where they did, coming ones where the playout point will meet them.
 */

import { toMs } from "./figures.js";

const LANES = ["Text", "Chunks", "Packets", "Buffer", "Sound"];
/** @type {Record<string, number>} */
const LANE_HEIGHT = { Text: 26, Chunks: 34, Packets: 26, Buffer: 52, Sound: 44 };
const GAP = 10;
const AXIS_HEIGHT = 24;
const SPAN_MIN_MS = 6_000;
const SPAN_MAX_MS = 30_000;
const POINTS_MAX = 20_000;
/** Time between two of the player's ticks. */
const TICK_MS = 21;

/** Height of the drawing in CSS pixels. */
export const TIMELINE_HEIGHT =
  LANES.reduce((sum, lane) => sum + LANE_HEIGHT[lane] + GAP, 0) + AXIS_HEIGHT;

export class Timeline {
  #canvas;
  #startMs = 0;
  #endMs = 0;
  /** @type {number[]} */
  #tokens = [];
  /** @type {{at: number, ms: number}[]} */
  #packets = [];
  /** @type {{text: string, timestamp: number}[]} */
  #chunks = [];
  #receivedSamples = 0;
  /** @type {{at: number, depth: number, peak: number}[]} */
  #levels = [];
  /** Stretches of sound: wall time at which a media time began to sound. */
  #stretches = /** @type {{at: number, media: number, until: number | null}[]} */ ([]);
  /** @type {{at: number, kind: "underrun" | "stop"}[]} */
  #marks = [];

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** @param {number} nowMs the click */
  begin(nowMs) {
    this.#startMs = nowMs;
    this.#endMs = nowMs;
    this.#tokens = [];
    this.#packets = [];
    this.#chunks = [];
    this.#levels = [];
    this.#stretches = [];
    this.#marks = [];
    this.#receivedSamples = 0;
  }

  /** @param {number} nowMs */
  token(nowMs) {
    keep(this.#tokens, nowMs);
  }

  /** @param {{text: string, timestamp: number}} event a `chunk` message */
  chunk({ text, timestamp }) {
    this.#chunks.push({ text: text.trim(), timestamp });
  }

  /**
   * @param {number} nowMs
   * @param {import("./wire.js").AudioMessage} message
   */
  packet(nowMs, message) {
    keep(this.#packets, { at: nowMs, ms: toMs(message.frames.length * message.frameSamples) });
    this.#receivedSamples = message.endTimestamp;
  }

  /**
   * @param {number} nowMs
   * @param {import("./player.js").PlayoutStatus} status
   */
  level(nowMs, { depth, peak }) {
    keep(this.#levels, { at: nowMs, depth: toMs(depth), peak });
  }

  /**
   * @param {number} nowMs
   * @param {number} media samples played before
   */
  soundBegins(nowMs, media) {
    this.#stretches.push({ at: nowMs, media, until: null });
  }

  /** @param {number} nowMs */
  soundEnds(nowMs) {
    const last = this.#stretches.at(-1);
    if (last !== undefined) last.until ??= nowMs;
  }

  /**
   * @param {number} nowMs
   * @param {"underrun" | "stop"} kind
   */
  mark(nowMs, kind) {
    this.#marks.push({ at: nowMs, kind });
  }

  /**
   * Draw the state of `nowMs`.
   * @param {number} nowMs
   */
  draw(nowMs) {
    this.#endMs = nowMs;
    const paint = this.#prepare();
    this.#drawAxis(paint);
    this.#drawTokens(paint);
    this.#drawChunks(paint);
    this.#drawPackets(paint);
    this.#drawBuffer(paint);
    this.#drawSound(paint);
    this.#drawMarks(paint);
  }

  #prepare() {
    const ratio = globalThis.devicePixelRatio || 1;
    const width = this.#canvas.clientWidth;
    const size = [Math.round(width * ratio), Math.round(TIMELINE_HEIGHT * ratio)];
    if (this.#canvas.width !== size[0] || this.#canvas.height !== size[1]) {
      [this.#canvas.width, this.#canvas.height] = size;
    }
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, TIMELINE_HEIGHT);
    const style = getComputedStyle(this.#canvas);
    context.font = `500 11px ${style.fontFamily}`;
    context.textBaseline = "middle";
    const left = width < 520 ? 58 : 74;
    const elapsed = this.#endMs - this.#startMs;
    const span = Math.min(SPAN_MAX_MS, Math.max(SPAN_MIN_MS, elapsed * 1.08));
    const from = this.#startMs + Math.max(0, elapsed * 1.08 - span);
    const x = (/** @type {number} */ at) => left + ((at - from) / span) * (width - left - 8);
    const color = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    return { context, width, left, span, from, x, color, top: laneTops() };
  }

  /** @param {any} paint */
  #drawAxis({ context, width, left, span, from, x, color, top }) {
    const step = span > 20_000 ? 5_000 : span > 9_000 ? 2_000 : 1_000;
    const bottom = TIMELINE_HEIGHT - AXIS_HEIGHT;
    context.textAlign = "center";
    for (const lane of LANES) {
      context.fillStyle = color("lane");
      context.fillRect(left, top[lane], width - left, LANE_HEIGHT[lane]);
    }
    for (let s = Math.ceil((from - this.#startMs) / step) * step; ; s += step) {
      const at = x(this.#startMs + s);
      if (at > width) break;
      context.fillStyle = color("line");
      context.fillRect(Math.round(at), 0, 1, bottom);
      context.fillStyle = color("muted");
      context.fillText(`${s / 1000} s`, Math.max(at, left + 8), bottom + AXIS_HEIGHT / 2 + 2);
    }
    context.textAlign = "left";
    for (const lane of LANES) {
      context.fillStyle = color("muted");
      context.fillText(lane, 0, top[lane] + LANE_HEIGHT[lane] / 2);
    }
    context.save();
    context.beginPath();
    context.rect(left, 0, width - left, TIMELINE_HEIGHT);
    context.clip();
  }

  /** @param {any} paint */
  #drawTokens({ context, x, color, top }) {
    context.fillStyle = color("text-lane");
    const height = LANE_HEIGHT.Text - 12;
    for (const at of this.#tokens) context.fillRect(x(at), top.Text + 6, 1.5, height);
  }

  /** @param {any} paint */
  #drawChunks({ context, x, color, top }) {
    const height = LANE_HEIGHT.Chunks - 8;
    this.#chunks.forEach((chunk, i) => {
      const begin = this.#wallTime(chunk.timestamp);
      const next = this.#chunks[i + 1]?.timestamp ?? this.#receivedSamples;
      const end = this.#wallTime(Math.max(next, chunk.timestamp));
      if (begin === null || end === null) return;
      const [from, width] = [x(begin), Math.max(3, x(end) - x(begin) - 2)];
      context.fillStyle = color(i % 2 === 0 ? "chunk-a" : "chunk-b");
      roundRect(context, from, top.Chunks + 4, width, height, 5);
      if (width < 28) return;
      context.save();
      context.clip();
      context.fillStyle = color("ink");
      context.fillText(chunk.text, Math.max(from, 0) + 7, top.Chunks + 4 + height / 2);
      context.restore();
    });
  }

  /** @param {any} paint */
  #drawPackets({ context, x, color, top }) {
    context.fillStyle = color("packet");
    const bottom = top.Packets + LANE_HEIGHT.Packets - 4;
    for (const { at, ms } of this.#packets) {
      const height = Math.min(LANE_HEIGHT.Packets - 8, 6 + ms / 8);
      context.fillRect(x(at), bottom - height, 1.5, height);
    }
  }

  /** @param {any} paint */
  #drawBuffer({ context, width, x, color, top }) {
    const most = Math.max(200, ...this.#levels.slice(-2_000).map((level) => level.depth));
    const bottom = top.Buffer + LANE_HEIGHT.Buffer;
    const y = (/** @type {number} */ depth) => bottom - (depth / most) * (LANE_HEIGHT.Buffer - 8);
    if (this.#levels.length > 1) {
      context.beginPath();
      context.moveTo(x(this.#levels[0].at), bottom);
      for (const { at, depth } of this.#levels) context.lineTo(x(at), y(depth));
      context.lineTo(x(this.#levels[this.#levels.length - 1].at), bottom);
      context.fillStyle = color("buffer-fill");
      context.fill();
      context.beginPath();
      for (const { at, depth } of this.#levels) context.lineTo(x(at), y(depth));
      context.strokeStyle = color("buffer");
      context.lineWidth = 1.5;
      context.stroke();
    }
    context.fillStyle = color("muted");
    context.textAlign = "right";
    context.fillText(`${Math.round(most)} ms`, width - 6, top.Buffer + 9);
    context.textAlign = "left";
  }

  /** @param {any} paint */
  #drawSound({ context, x, color, top }) {
    const middle = top.Sound + LANE_HEIGHT.Sound / 2;
    for (const { at, until } of this.#stretches) {
      context.fillStyle = color("sound-fill");
      const width = Math.max(2, x(until ?? this.#endMs) - x(at));
      roundRect(context, x(at), top.Sound + 3, width, LANE_HEIGHT.Sound - 6, 5);
    }
    context.fillStyle = color("sound");
    const loudest = this.#levels.reduce((most, { peak }) => Math.max(most, peak), 0.1);
    for (const { at, peak } of this.#levels) {
      const height = Math.max(1, (peak / loudest) * (LANE_HEIGHT.Sound - 12));
      const from = x(at - TICK_MS);
      context.fillRect(from, middle - height / 2, Math.max(1, x(at) - from - 0.5), height);
    }
  }

  /** @param {any} paint */
  #drawMarks({ context, x, color }) {
    for (const { at, kind } of this.#marks) {
      context.fillStyle = color("danger");
      context.fillRect(x(at) - 1, 0, 2, TIMELINE_HEIGHT - AXIS_HEIGHT);
      context.fillText(kind, x(at) + 5, 8);
    }
    context.restore();
  }

  /**
   * Wall time at which a media time sounded, or will; null while nothing has sounded.
   * @param {number} media samples
   */
  #wallTime(media) {
    const stretch = this.#stretches.findLast((one) => one.media <= media) ?? this.#stretches[0];
    return stretch === undefined ? null : stretch.at + toMs(media - stretch.media);
  }
}

/** @returns {Record<string, number>} where each lane begins */
function laneTops() {
  /** @type {Record<string, number>} */
  const tops = {};
  let top = 0;
  for (const lane of LANES) {
    tops[lane] = top;
    top += LANE_HEIGHT[lane] + GAP;
  }
  return tops;
}

/**
 * @template T
 * @param {T[]} list
 * @param {T} item
 */
function keep(list, item) {
  list.push(item);
  if (list.length > POINTS_MAX) list.splice(0, POINTS_MAX / 2);
}

/**
 * Fills a rectangle with round corners; its path stays for a clip.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {number} radius
 */
function roundRect(context, x, y, width, height, radius) {
  context.beginPath();
  context.roundRect(x, y, width, height, Math.min(radius, width / 2));
  context.fill();
}
