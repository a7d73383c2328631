/** Waiting in the shells: one timer that is set again and again, and a promise with its handles. */

/** Calls `act` once after the time that start() names. */
export class Timer {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #handle;
  #act;

  /** @param {() => void} act */
  constructor(act) {
    this.#act = act;
  }

  /** @param {number} ms */
  start(ms) {
    this.stop();
    this.#handle = setTimeout(() => {
      this.#handle = undefined;
      this.#act();
    }, ms);
  }

  /** @param {number} ms */
  startUnlessRunning(ms) {
    if (this.#handle === undefined) this.start(ms);
  }

  stop() {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }
}

/** @returns {{promise: Promise<any>, resolve: (value: any) => void, reject: (e: Error) => void}} */
export function deferred() {
  /** @type {any} */
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  parts.promise.catch(() => {}); // an automatic attempt may have no listener
  return parts;
}
