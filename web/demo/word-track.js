/**
 * Which word sounds at which moment of media time.
 *
 * Words come with `chunk` and `words` messages, in the order in which they sound; offsets count
 * Unicode code points of the text that was sent in this generation.
 */

/**
 * @typedef {object} Word
 * @property {string} text
 * @property {number} start offset of its first code point
 * @property {number} end offset behind its last code point
 * @property {number} timestamp media samples
 * @property {number} duration media samples
 */

/**
 * @typedef {object} Heard
 * @property {number} text_offset code points that were heard
 * @property {string} word the last word that began to sound; empty if none did
 * @property {number} played_samples media samples
 * @property {"client" | "model"} source who knew the position: this client, or the gateway's model
 */

export class WordTrack {
  /** @type {Word[]} */
  #words = [];
  /** Words that take() has given. */
  #taken = 0;

  /** Forget everything: a new generation begins at offset 0. */
  reset() {
    this.#words = [];
    this.#taken = 0;
  }

  /** @param {Word[]} words in the order in which they sound */
  add(words) {
    this.#words.push(...words);
  }

  /**
   * Words that have begun at `sample` and were not taken before, each once, in order.
   * @param {number} sample media samples
   * @returns {Word[]}
   */
  take(sample) {
    const from = this.#taken;
    while (this.#words[this.#taken]?.timestamp <= sample) this.#taken += 1;
    return this.#words.slice(from, this.#taken);
  }

  /**
   * The last word of which a sample is among the first `samples`, or null.
   * @param {number} samples media samples
   * @returns {Word | null}
   */
  lastWithin(samples) {
    let low = 0;
    let high = this.#words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#words[middle].timestamp < samples) low = middle + 1;
      else high = middle;
    }
    return low > 0 ? this.#words[low - 1] : null;
  }

  /**
   * What a listener has heard once the first `samples` were played.
   * @param {number} samples media samples
   * @returns {Heard}
   */
  heard(samples) {
    const word = this.lastWithin(samples);
    return {
      text_offset: word?.end ?? 0,
      word: word?.text ?? "",
      played_samples: samples,
      source: "client",
    };
  }
}
