/**
 * PCM at 8–48 kHz to the 48 kHz of media time, by a whole factor.
 *
 * A polyphase windowed-sinc filter (Kaiser, β = 8: images are 80 dB down).  Its delay is taken off,
 * so that sample n of the input is sample n × factor of the output; the last few milliseconds of a
 * talkspurt come with flush().  Opus needs none of this: its decoders give 48 kHz.
 */

const REACH = 16; // input samples on each side of an output sample
const BETA = 8;
const PASSBAND = 0.94; // of the input's Nyquist frequency

export class Upsampler {
  #factor;
  #phases;
  /** The last input samples; begins with silence. */
  #history = new Float32Array(2 * REACH);
  /** Input samples that must still come before output begins. */
  #missing = REACH;

  /** @param {number} factor 1, 2, 3, 4 or 6 */
  constructor(factor) {
    this.#factor = factor;
    this.#phases = factor === 1 ? [] : makePhases(factor);
  }

  /**
   * @param {Float32Array} input
   * @returns {Float32Array} at most input.length × factor samples
   */
  push(input) {
    if (this.#factor === 1) return input;
    const line = new Float32Array(this.#history.length + input.length);
    line.set(this.#history);
    line.set(input, this.#history.length);
    this.#history = line.slice(input.length);
    const skipped = Math.min(this.#missing, input.length);
    this.#missing -= skipped;
    const output = new Float32Array((input.length - skipped) * this.#factor);
    for (let i = skipped; i < input.length; i += 1) {
      for (let phase = 0; phase < this.#factor; phase += 1) {
        const index = (i - skipped) * this.#factor + phase;
        output[index] = convolve(line, i + 1, this.#phases[phase]);
      }
    }
    return output;
  }

  /**
   * End a talkspurt: what is still inside, and silence as history of the next one.
   * @returns {Float32Array}
   */
  flush() {
    const rest = this.push(new Float32Array(REACH));
    this.#history.fill(0);
    this.#missing = REACH;
    return this.#factor === 1 ? new Float32Array(0) : rest;
  }
}

/**
 * @param {Float32Array} line
 * @param {number} start
 * @param {Float32Array} taps
 */
function convolve(line, start, taps) {
  let sum = 0;
  for (let k = 0; k < taps.length; k += 1) sum += line[start + k] * taps[k];
  return sum;
}

/**
 * Taps for each of the `factor` positions between two input samples.
 * @param {number} factor
 * @returns {Float32Array[]}
 */
function makePhases(factor) {
  return Array.from({ length: factor }, (_, phase) => {
    const taps = Float32Array.from({ length: 2 * REACH }, (_unused, k) => {
      const distance = k - (REACH - 1) - phase / factor;
      return PASSBAND * sinc(PASSBAND * distance) * kaiser(distance / REACH);
    });
    const gain = taps.reduce((sum, tap) => sum + tap, 0);
    return taps.map((tap) => tap / gain);
  });
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** @param {number} x position in the window, -1 to 1 */
function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
}

/**
 * Modified Bessel function of the first kind and order 0, by its power series.
 * @param {number} x
 */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-12 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
