/**
 * Replays a text as a language model would send it: a wait, then tokens of a few letters, unevenly.
 *
 * The schedule is made beforehand and is the same for the same seed; late timers (hidden pages) are
 * made up for, because each wake-up yields every token that is due.
 */

const PIECE_MAX = 6;

/**
 * Pieces as tokenisers cut them: a word with its leading space, long words in parts, punctuation
 * alone.  Joined they are the text.
 * @param {string} text
 * @returns {string[]}
 */
export function tokenize(text) {
  const words = text.match(/\s*[\p{L}\p{M}\p{N}'’]+|\s*[^\s\p{L}\p{M}\p{N}]|\s+/gu) ?? [];
  return words.flatMap((word) => {
    const points = Array.from(word);
    if (points.length <= PIECE_MAX + 3) return [word];
    const parts = [];
    for (let i = 0; i < points.length; i += PIECE_MAX) {
      parts.push(points.slice(i, i + PIECE_MAX).join(""));
    }
    return parts;
  });
}

/**
 * @typedef {object} Pace
 * @property {number} tokensPerSecond mean
 * @property {number} [firstTokenMs] wait before the first token
 * @property {number} [burst] 0: like a clock; 1: as uneven as a busy server (gaps grow, then a
 *   few tokens come at once)
 * @property {number} [seed]
 */

/**
 * When each token is due, in milliseconds from the start.
 * @param {number} count
 * @param {Pace} pace
 * @returns {number[]}
 */
export function schedule(count, { tokensPerSecond, firstTokenMs = 300, burst = 0.5, seed = 1 }) {
  const random = randomNumbers(seed);
  const mean = 1000 / tokensPerSecond;
  const due = [];
  let time = firstTokenMs;
  let held = 0;
  for (let i = 0; i < count; i += 1) {
    due.push(time);
    const gap = mean * (1 - burst - burst * Math.log(1 - random()));
    if (random() < burst / 3) {
      held += gap; // this token travels with the next one
    } else {
      time += gap + held;
      held = 0;
    }
  }
  return due;
}

/**
 * Yields the tokens of `text` in time.
 * @param {string} text
 * @param {Pace & {signal?: AbortSignal}} pace an aborted signal ends the replay
 * @returns {AsyncGenerator<string, void, void>}
 */
export async function* replay(text, { signal, ...pace }) {
  const tokens = tokenize(text);
  const due = schedule(tokens.length, pace);
  const start = performance.now();
  for (let i = 0; i < tokens.length; i += 1) {
    const wait = start + due[i] - performance.now();
    if (wait > 1) await sleep(wait, signal);
    if (signal?.aborted) return;
    yield tokens[i];
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done);
  });
}

/**
 * Numbers in [0, 1) by mulberry32.
 * @param {number} seed
 */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
