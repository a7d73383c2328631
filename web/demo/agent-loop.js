/**
 * A spoken conversation: a model's tokens are spoken as they come, a new question interrupts, and
 * the history keeps of an answer exactly what was heard.
 *
 *     ask() ──► model(history) ──tokens──► context ──audio──► player ──► ear
 *       │                                                                 │
 *       └── while it speaks: stop(), and cut the answer after the last ◄──┘
 *           word that was heard
 *
 * It knows no page and no model: a model is any function that gives an (async) iterable of strings,
 * such as the body of a streamed HTTP answer.
 */

/**
 * @typedef {{role: "user" | "assistant", content: string}} Message
 * @typedef {(history: Message[], options: {signal: AbortSignal}) =>
 *   AsyncIterable<string> | Iterable<string>} Model
 */

/**
 * Events: `answer` (a turn begins; detail: {message, speech}), `token` (a string was sent to be
 * spoken), `interrupted` (detail: {message, heard}).
 */
export class SpokenAgent extends EventTarget {
  #client;
  #player;
  #model;
  #options;
  /**
   * The turn that is being spoken.
   * @type {{message: Message, over: (heardAll: boolean) => void} | null}
   */
  #turn = null;

  /**
   * @param {import("./voice-client.js").VoiceClient} client
   * @param {import("./player.js").Player} player
   * @param {Model} model
   * @param {import("./voice-context.js").StartOptions} [options] of every turn: the voice
   */
  constructor(client, player, model, options = {}) {
    super();
    this.#client = client;
    this.#player = player;
    this.#model = model;
    this.#options = options;
    /** What was said, as the model should read it. @type {Message[]} */
    this.history = [];
    player.addEventListener("finished", () => this.#turn?.over(true));
  }

  /** Whether an answer is being spoken, or written. */
  get busy() {
    return this.#turn !== null;
  }

  /**
   * Ask, and speak the answer; whatever is still being said is interrupted first.
   * @param {string} question
   * @returns {Promise<boolean>} settles when the answer was heard (true), or cut short (false)
   * @throws {Error} of the model, or ConnectionError if the gateway can't be reached
   */
  async ask(question) {
    await this.interrupt();
    this.history.push({ role: "user", content: question });
    await Promise.all([this.#client.connect(), this.#player.resume()]);
    const speech = this.#client.start(this.#options);
    const message = /** @type {Message} */ ({ role: "assistant", content: "" });
    const asked = [...this.history];
    this.history.push(message);
    const heard = this.#begin(message, speech);
    this.#emit("answer", { message, speech });
    try {
      await speech.speak(this.#answer(asked, message, speech.signal));
    } catch (error) {
      await this.interrupt();
      throw error;
    }
    return heard;
  }

  /**
   * Silence at once; the answer in the history ends behind the last word that was heard.
   * @returns {Promise<import("./word-track.js").Heard | null>} null if nothing was being said
   */
  async interrupt() {
    const turn = this.#turn;
    if (turn === null) return null;
    const { heard: answer } = this.#player.stop();
    this.#player.leave();
    turn.over(false);
    const heard = await answer;
    const { message } = turn;
    message.content = Array.from(message.content).slice(0, heard?.text_offset ?? 0).join("");
    this.#emit("interrupted", { message, heard });
    return heard;
  }

  /**
   * @param {Message} message
   * @param {import("./voice-context.js").VoiceContext} speech
   * @returns {Promise<boolean>}
   */
  #begin(message, speech) {
    this.#player.play(speech);
    return new Promise((resolve) => {
      const over = (/** @type {boolean} */ heardAll) => {
        this.#turn = null;
        if (!speech.gone) speech.end(); // frees the context once its cancel is answered
        resolve(heardAll);
      };
      this.#turn = { message, over };
    });
  }

  /**
   * @param {Message[]} history
   * @param {Message} message grows by what is spoken
   * @param {AbortSignal} signal
   */
  async *#answer(history, message, signal) {
    for await (const token of this.#model(history, { signal })) {
      if (signal.aborted) return;
      message.content += token;
      this.#emit("token", token);
      yield token;
    }
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
