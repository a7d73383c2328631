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
 * @property {string} source who computed it: "client" here, else as the gateway says
 */

export class WordTrack {
  /** @type {Word[]} */
  #words = [];

  /** Forget everything: a new generation begins at offset 0. */
  reset() {
    this.#words = [];
  }

  /** @param {Word[]} words in the order in which they sound */
  add(words) {
    this.#words.push(...words);
  }

  /**
   * The last word that has begun at `sample`, or null before the first.
   * @param {number} sample media samples
   * @returns {Word | null}
   */
  at(sample) {
    let low = 0;
    let high = this.#words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#words[middle].timestamp <= sample) low = middle + 1;
      else high = middle;
    }
    return low > 0 ? this.#words[low - 1] : null;
  }

  /**
   * What a listener has heard at `sample`.
   * @param {number} sample media samples
   * @returns {Heard}
   */
  heard(sample) {
    const word = this.at(sample);
    return {
      text_offset: word?.end ?? 0,
      word: word?.text ?? "",
      played_samples: sample,
      source: "client",
    };
  }
}
