/**
 * How long to wait before the next attempt to connect: doubling, with a random part, so that the
 * clients of a gateway that fell do not all return in the same moment.
 */

export class Backoff {
  #firstMs;
  #secondMs;
  #mostMs;
  #attempts = 0;

  /**
   * @param {{firstMs: number, secondMs: number, mostMs: number}} pace the first wait, the second
   *   one, which doubles from then on, and the longest
   */
  constructor({ firstMs, secondMs, mostMs }) {
    this.#firstMs = firstMs;
    this.#secondMs = secondMs;
    this.#mostMs = mostMs;
  }

  /** The connection holds: begin anew with the next loss. */
  reset() {
    this.#attempts = 0;
  }

  /**
   * @param {number} random in [0, 1)
   * @returns {number} whole milliseconds, half to all of the step
   */
  next(random) {
    const step =
      this.#attempts === 0 ? this.#firstMs : this.#secondMs * 2 ** (this.#attempts - 1);
    this.#attempts += 1;
    return Math.round(Math.min(this.#mostMs, step) * (1 - random / 2));
  }
}
