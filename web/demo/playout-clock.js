/**
 * What sounded when: the statuses of the worklet as a line in steps over the audio clock.
 *
 *     played ▲            ╭── now: handed to the device
 *            │      ╭─────╯        (between two statuses, at most what was in the buffer)
 *            │  ╭───╯ ▲
 *            │──╯     └── now − output latency: at the ear
 *            └──────────────────► time of the AudioContext
 *
 * It reads no clock; times are seconds of the AudioContext, positions media samples.
 */

import { MEDIA_RATE } from "./wire.js";

/** Statuses that are kept: more than a second of them, more than any device's delay. */
const KEPT = 64;

export class PlayoutClock {
  /** @type {{time: number, played: number, most: number}[]} in order */
  #steps = [];

  /** Forget everything: another generation begins at 0. */
  reset() {
    this.#steps = [];
  }

  /**
   * @param {{time: number, played: number, depth: number}} status of the worklet
   * @param {boolean} sounding whether more sounds after `time`
   */
  receive({ time, played, depth }, sounding) {
    this.#steps.push({ time, played, most: sounding ? played + depth : played });
    if (this.#steps.length > KEPT) this.#steps.shift();
  }

  /**
   * Samples of the generation that had been handed to the device at `time`.
   * @param {number} time
   * @returns {number} whole samples
   */
  at(time) {
    const index = this.#steps.findLastIndex((step) => step.time <= time);
    if (index < 0) return this.#steps[0]?.played ?? 0;
    const { time: from, played, most } = this.#steps[index];
    const until = Math.min(most, this.#steps[index + 1]?.played ?? most);
    return Math.round(Math.min(until, played + (time - from) * MEDIA_RATE));
  }
}
