/**
 * The live figures of one utterance.  It is told what happened and when (milliseconds of
 * performance.now()); it reads no clock and touches no page.
 */

import { MEDIA_RATE } from "./wire.js";

/** @param {number} samples */
export const toMs = (samples) => (samples / MEDIA_RATE) * 1000;

export class Figures {
  /** @param {number} clickMs when the user asked for speech */
  constructor(clickMs) {
    this.clickMs = clickMs;
    /** First token sent. @type {number | null} */
    this.firstTextMs = null;
    /** First audio message. @type {number | null} */
    this.firstPacketMs = null;
    /** First sample handed to the device. @type {number | null} */
    this.firstAudioMs = null;
    this.depthMs = 0;
    this.leadMs = 0;
    this.underruns = 0;
    /** Click on Stop to the last audible sample handed to the device. @type {number | null} */
    this.interruptionMs = null;
    /** Sound that was handed to the device after the cut reached the worklet: the fade. */
    this.fadeMs = 0;
    /** What the gateway says was heard. @type {any} */
    this.heard = null;
  }

  /** @param {number} nowMs */
  textSent(nowMs) {
    this.firstTextMs ??= nowMs;
  }

  /** @param {number} nowMs */
  audioReceived(nowMs) {
    this.firstPacketMs ??= nowMs;
  }

  /** @param {number} nowMs */
  soundStarted(nowMs) {
    this.firstAudioMs ??= nowMs;
  }

  /**
   * @param {import("./player.js").PlayoutStatus} status
   * @param {number} position media samples played
   * @param {number} receivedSamples media time up to which audio has arrived
   */
  played(status, position, receivedSamples) {
    this.depthMs = toMs(Math.max(0, status.depth - (position - status.played)));
    this.leadMs = toMs(Math.max(0, receivedSamples - position));
    this.underruns = status.underruns;
  }

  /**
   * Both ends are read where they happen: the click in its event, the end in the worklet.
   * @param {number} clickMs
   * @param {import("./player.js").PlayoutStatus} status of the worklet when it was silent
   */
  stopped(clickMs, { silentMs = clickMs, played, cutAt }) {
    this.interruptionMs = Math.max(0, silentMs - clickMs);
    this.fadeMs = toMs(played - cutAt);
    this.depthMs = 0;
    this.leadMs = 0;
  }

  /** Milliseconds from the first token to the first sound, or null before it. */
  get firstAudioAfterTextMs() {
    return difference(this.firstAudioMs, this.firstTextMs);
  }

  /** Milliseconds from the click to the first sound, or null before it. */
  get firstAudioAfterClickMs() {
    return difference(this.firstAudioMs, this.clickMs);
  }

  /** Milliseconds from the first token to the first audio message, or null before it. */
  get firstPacketAfterTextMs() {
    return difference(this.firstPacketMs, this.firstTextMs);
  }
}

/**
 * @param {number | null} later
 * @param {number | null} earlier
 */
function difference(later, earlier) {
  return later === null || earlier === null ? null : later - earlier;
}
