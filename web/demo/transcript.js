/**
 * The text as it is sent, spoken and heard: waiting text is dim, spoken words darken, the word that
 * sounds is marked, and after a stop the words that were ready but not heard are struck out.
 *
 * Chunks adjoin, so the shown text is always: spans of the chunks, then the text no chunk has yet.
 */

export class Transcript {
  #box;
  #pending = document.createTextNode("");
  /** @type {{element: HTMLElement, start: number}[]} */
  #words = [];
  /** @type {Map<number, {element: HTMLElement, text: string[], start: number, words: any[]}>} */
  #chunks = new Map();
  #active = -1;

  /** @param {HTMLElement} box */
  constructor(box) {
    this.#box = box;
  }

  clear() {
    this.#pending = document.createTextNode("");
    this.#box.replaceChildren(this.#pending);
    this.#box.classList.remove("stopped");
    this.#words = [];
    this.#chunks.clear();
    this.#active = -1;
  }

  /** @param {string} text sent to the gateway */
  append(text) {
    this.#pending.appendData(text);
  }

  /** @param {any} event a `chunk` message */
  addChunk(event) {
    const element = document.createElement("span");
    element.className = "chunk";
    this.#box.insertBefore(element, this.#pending);
    this.#pending.deleteData(0, Math.min(event.text.length, this.#pending.length));
    const chunk = { element, text: Array.from(event.text), start: event.start, words: [] };
    this.#chunks.set(event.chunk, chunk);
    this.#addWords(chunk, event.words ?? []);
  }

  /** @param {any} event a `words` message */
  addWords(event) {
    const chunk = this.#chunks.get(event.chunk);
    if (chunk !== undefined) this.#addWords(chunk, event.words);
  }

  /**
   * Mark the word that is heard now, and all before it as heard.
   * @param {{start: number}} word
   */
  show({ start }) {
    const active = this.#words.findLastIndex((word) => word.start <= start);
    if (active < 0 || active === this.#active) return;
    this.#words[this.#active]?.element.classList.remove("now");
    for (let i = this.#active + 1; i <= active; i += 1) {
      this.#words[i].element.classList.add("heard");
    }
    this.#words[active].element.classList.add("now");
    this.#active = active;
    this.#follow(this.#words[active].element);
  }

  /** No word sounds any more. */
  rest() {
    this.#words[this.#active]?.element.classList.remove("now");
  }

  /**
   * Strike out what was not heard.
   * @param {number} textOffset code points that were heard
   */
  stopAt(textOffset) {
    this.rest();
    for (const word of this.#words) {
      word.element.classList.toggle("heard", word.start < textOffset);
    }
    this.#box.classList.add("stopped");
  }

  /**
   * Punctuation that touches a word lights up with it.
   * @param {{element: HTMLElement, text: string[], start: number, words: any[]}} chunk
   * @param {any[]} words
   */
  #addWords(chunk, words) {
    const known = new Set(chunk.words.map((word) => word.start));
    for (const word of words) {
      if (word.end <= word.start || known.has(word.start)) continue; // "$5" sounds as two words
      known.add(word.start);
      chunk.words.push(word);
    }
    chunk.element.replaceChildren();
    const slice = (/** @type {number} */ from, /** @type {number} */ to) =>
      chunk.text.slice(from - chunk.start, to - chunk.start).join("");
    let offset = chunk.start;
    chunk.words.forEach(({ start, end }, i) => {
      const before = /\S*$/u.exec(slice(offset, start))?.[0] ?? "";
      const next = chunk.words[i + 1]?.start ?? chunk.start + chunk.text.length;
      const after = /^\S*/u.exec(slice(end, next))?.[0] ?? "";
      const from = Math.max(offset, start - Array.from(before).length);
      const to = Math.max(offset, end + Array.from(after).length);
      const element = document.createElement("span");
      element.className = "word";
      element.textContent = slice(from, to);
      chunk.element.append(slice(offset, from), element);
      offset = to;
      this.#remember({ element, start });
    });
    chunk.element.append(slice(offset, chunk.start + chunk.text.length));
  }

  /** @param {{element: HTMLElement, start: number}} word */
  #remember(word) {
    const index = this.#words.findIndex((other) => other.start === word.start);
    if (index < 0) {
      this.#words.push(word);
      return;
    }
    word.element.className = this.#words[index].element.className;
    this.#words[index] = word;
  }

  /** @param {HTMLElement} element scrolled into sight inside the box, never moving the page */
  #follow(element) {
    const box = this.#box.getBoundingClientRect();
    const word = element.getBoundingClientRect();
    if (word.bottom > box.bottom - 24 || word.top < box.top) {
      this.#box.scrollBy({ top: word.top - box.top - box.height / 3, behavior: "smooth" });
    }
  }
}
