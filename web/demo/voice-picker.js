/**
 * Choosing one of many voices: a combobox after the ARIA pattern, filtered as one types, grouped by
 * language.
 *
 * Closed, the field shows the chosen voice; opened, it is the filter.  Arrows, Home, End, Enter and
 * Esc work; Tab leaves and keeps the choice.
 */

/** Of the list, in CSS pixels: its least and greatest height, and what it leaves free. */
const HEIGHT_MIN = 140;
const HEIGHT_MAX = 380;
const MARGIN = 14;
/** With less than this below the field the list may open upwards. */
const ROOM = 260;

/**
 * @typedef {object} Voice
 * @property {string} id
 * @property {string} name
 * @property {string} language BCP 47
 * @property {string} engine
 * @property {string} [gender]
 * @property {string} [description]
 */

/** Emits `change` when another voice is chosen. */
export class VoicePicker extends EventTarget {
  #field;
  #list;
  /** @type {Voice[]} */
  #voices = [];
  /** @type {HTMLElement[]} */
  #options = [];
  #active = -1;

  /**
   * @param {HTMLInputElement} field role="combobox"
   * @param {HTMLElement} list role="listbox"
   */
  constructor(field, list) {
    super();
    this.#field = field;
    this.#list = list;
    /** @type {Voice | null} */
    this.voice = null;
    field.addEventListener("focus", () => this.#open());
    field.addEventListener("click", () => this.#open());
    field.addEventListener("blur", () => this.#close());
    field.addEventListener("input", () => this.#render(field.value));
    field.addEventListener("keydown", (event) => this.#onKey(event));
    globalThis.visualViewport?.addEventListener("resize", () => this.#place());
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus
    list.addEventListener("click", (event) => {
      const option = /** @type {HTMLElement} */ (event.target).closest("[role=option]");
      if (option !== null) this.#choose(this.#options.indexOf(/** @type {any} */ (option)));
    });
  }

  /**
   * @param {Voice[]} voices
   * @param {string} defaultId
   */
  setVoices(voices, defaultId) {
    const inOrder = (/** @type {Voice} */ a, /** @type {Voice} */ b) =>
      this.#group(a).localeCompare(this.#group(b)) || a.name.localeCompare(b.name);
    this.#voices = [...voices].sort(inOrder);
    this.voice = voices.find((voice) => voice.id === defaultId) ?? this.#voices[0] ?? null;
    this.#showChoice();
  }

  /** Choose by id; unknown ids are ignored. @param {string} id */
  select(id) {
    this.voice = this.#voices.find((voice) => voice.id === id) ?? this.voice;
    this.#showChoice();
  }

  #showChoice() {
    this.#field.value = this.voice ? `${this.voice.name} · ${this.voice.language}` : "";
  }

  #open() {
    if (!this.#list.hidden || this.#voices.length === 0) return;
    this.#field.value = "";
    this.#field.placeholder = `Search ${this.#voices.length} voices`;
    this.#list.hidden = false;
    this.#field.setAttribute("aria-expanded", "true");
    document.body.classList.add("picking");
    this.#place();
    this.#render("");
  }

  /** Where there is more room, above or below, and no higher than that: a keyboard may be open. */
  #place() {
    if (this.#list.hidden) return;
    const { top, bottom } = this.#field.getBoundingClientRect();
    const { height = innerHeight, offsetTop = 0 } = globalThis.visualViewport ?? {};
    const above = top - offsetTop - MARGIN;
    const below = offsetTop + height - bottom - MARGIN;
    const up = below < ROOM && above > below;
    this.#list.classList.toggle("up", up);
    const most = Math.min(HEIGHT_MAX, up ? above : below);
    this.#list.style.maxHeight = `${Math.max(HEIGHT_MIN, most)}px`;
  }

  #close() {
    this.#list.hidden = true;
    document.body.classList.remove("picking");
    this.#field.setAttribute("aria-expanded", "false");
    this.#field.removeAttribute("aria-activedescendant");
    this.#showChoice();
  }

  /** @param {string} filter */
  #render(filter) {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (/** @type {Voice} */ voice) => {
      const text = [voice.name, voice.id, voice.language, this.#group(voice), voice.engine,
        voice.gender, voice.description].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const found = this.#voices.filter(fits);
    this.#options = [];
    this.#list.replaceChildren(...this.#groups(found));
    if (found.length === 0) this.#list.append(element("p", "none", "No voice fits this search."));
    const chosen = this.#options.findIndex((option) => option.dataset.id === this.voice?.id);
    this.#activate(Math.max(0, chosen));
  }

  /**
   * @param {Voice[]} voices sorted by group
   * @returns {HTMLElement[]}
   */
  #groups(voices) {
    /** @type {Map<string, HTMLElement>} */
    const groups = new Map();
    for (const voice of voices) {
      const name = this.#group(voice);
      let group = groups.get(name);
      if (group === undefined) {
        group = element("div", "group");
        const title = element("div", "group-title", name);
        title.id = `voice-group-${groups.size}`;
        group.setAttribute("role", "group");
        group.setAttribute("aria-labelledby", title.id);
        group.append(title);
        groups.set(name, group);
      }
      group.append(this.#option(voice));
    }
    return [...groups.values()];
  }

  /** @param {Voice} voice */
  #option(voice) {
    const option = element("div", "option");
    option.id = `voice-${this.#options.length}`;
    option.dataset.id = voice.id;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", String(voice.id === this.voice?.id));
    const details = [voice.gender, voice.language, voice.engine].filter(Boolean).join(" · ");
    option.append(element("span", "name", voice.name), element("span", "details", details));
    if (voice.description) option.title = voice.description;
    this.#options.push(option);
    return option;
  }

  /** @param {number} index */
  #activate(index) {
    this.#options[this.#active]?.classList.remove("active");
    this.#active = index;
    const option = this.#options[index];
    if (option === undefined) {
      this.#field.removeAttribute("aria-activedescendant");
      return;
    }
    option.classList.add("active");
    this.#field.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} index */
  #choose(index) {
    const id = this.#options[index]?.dataset.id;
    this.voice = this.#voices.find((voice) => voice.id === id) ?? this.voice;
    this.#close();
    this.dispatchEvent(new CustomEvent("change", { detail: this.voice }));
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const last = this.#options.length - 1;
    const moves = {
      ArrowDown: Math.min(last, this.#active + 1),
      ArrowUp: Math.max(0, this.#active - 1),
      Home: 0,
      End: last,
    };
    if (this.#list.hidden) {
      if (event.key === "ArrowDown" || event.key === "Enter") this.#open();
      else return;
    } else if (event.key in moves) {
      this.#activate(moves[/** @type {keyof typeof moves} */ (event.key)]);
    } else if (event.key === "Enter") {
      this.#choose(this.#active);
    } else if (event.key === "Escape") {
      this.#close();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {Voice} voice */
  #group(voice) {
    return languageName(voice.language) ?? voice.name.replace(/,.*$/, "");
  }
}

/** @type {Intl.DisplayNames | null} */
const NAMES =
  "DisplayNames" in Intl
    ? new Intl.DisplayNames(["en"], { type: "language", fallback: "none" })
    : null;

/**
 * A language in words, as exactly as this browser can say it.
 * @param {string} tag BCP 47, or nearly: "en-us-nyc" is asked for as "en-us"
 * @returns {string | null} null if not even the language itself has a name
 */
export function languageName(tag) {
  const parts = tag.replace(/-x-.*$/i, "").split("-");
  for (; parts.length > 0; parts.pop()) {
    try {
      const name = NAMES?.of(parts.join("-"));
      if (name !== undefined) return name;
    } catch {
      // no tag that this browser can read: ask for less
    }
  }
  return null;
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
function element(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}
