/**
 * The jitter buffer and playout, on the audio thread.
 *
 *     pcm ──► queue ──► process(): 128 samples each 2.7 ms ──► device
 *
 * States:  filling ──prebuffer reached, or the talkspurt is complete──► playing
 *          playing ──dry, more is due──► filling (an underrun)
 *          playing ──dry, talkspurt complete──► filling (drained)
 *          any ──cut──► filling, after a fade of some milliseconds
 *
 * A cut takes effect in the quantum after its message: the samples of the fade are taken out of the
 * queue, the queue is emptied, and nothing else of it is ever heard.
 *
 * Messages in:  {type: "open", generation, prebufferSamples, fadeSamples}  cut, then count anew
 *               {type: "pcm", generation, samples}  Float32Array at 48 kHz, transferred
 *               {type: "end", generation, position} the talkspurt ends at that sample
 *               {type: "cut", id, fadeSamples}      silence, and forget what is queued
 *               {type: "capture"}                   answer with what was played
 * Messages out: {type: "tick" | "started" | "resumed" | "underrun" | "drained" | "silent",
 *                generation, playing, played, depth, underruns, peak, time, captured, cut, cutAt,
 *                wallMs}
 *
 * `played` counts the samples of the generation that were handed to the device, `time` is the
 * context's time behind the last of them.  `silent` says that the cut with the id `cut` is over:
 * `cutAt` is what had been played when its message came, `wallMs` (of Date.now(), the only wall
 * clock here) when the last audible sample was handed over.  Ticks go on for two seconds after
 * the last sample, because that long a device may take until it is heard.  process() allocates
 * nothing but a message each 1,024 samples.
 */

const TICK_SAMPLES = 1_024;
/** Ticks after the last sample: for more than the delay of a wireless loudspeaker. */
const TAIL_SAMPLES = 96_000;
const CAPTURE_BLOCK = 48_000;
/** Where sound stops without a fade, the last value decays by this factor per sample: no click. */
const DECAY = 0.97;
const INAUDIBLE = 1e-5;

/** Blocks of samples in the order in which they play. */
class SampleQueue {
  /** @type {Float32Array[]} */
  #blocks = [];
  #offset = 0;
  length = 0;

  /** @param {Float32Array} block */
  push(block) {
    this.#blocks.push(block);
    this.length += block.length;
  }

  clear() {
    this.#blocks.length = 0;
    this.#offset = 0;
    this.length = 0;
  }

  /**
   * Fill `target` from index `from` on, as far as samples are there.
   * @param {Float32Array} target
   * @param {number} from
   * @returns {number} samples written
   */
  read(target, from) {
    let written = 0;
    while (this.#blocks.length > 0 && from + written < target.length) {
      const block = this.#blocks[0];
      const count = Math.min(block.length - this.#offset, target.length - from - written);
      for (let i = 0; i < count; i += 1) target[from + written + i] = block[this.#offset + i];
      written += count;
      this.#offset += count;
      if (this.#offset === block.length) {
        this.#blocks.shift();
        this.#offset = 0;
      }
    }
    this.length -= written;
    return written;
  }
}

/** Keeps every sample from the first audible one on; for tests only. */
class Recorder {
  /** @type {Float32Array[]} */
  #blocks = [];
  length = 0;

  /** @param {Float32Array} quantum */
  add(quantum) {
    for (let i = 0; i < quantum.length; i += 1) {
      const offset = this.length % CAPTURE_BLOCK;
      if (offset === 0) this.#blocks.push(new Float32Array(CAPTURE_BLOCK));
      this.#blocks[this.#blocks.length - 1][offset] = quantum[i];
      this.length += 1;
    }
  }

  /** @returns {Float32Array} */
  samples() {
    const all = new Float32Array(this.#blocks.length * CAPTURE_BLOCK);
    this.#blocks.forEach((block, i) => all.set(block, i * CAPTURE_BLOCK));
    return all.slice(0, this.length);
  }
}

class PlayoutProcessor extends AudioWorkletProcessor {
  #queue = new SampleQueue();
  #playing = false;
  /** A talkspurt has begun to sound and has not ended: running dry is an underrun. */
  #talking = false;
  #generation = 0;
  #prebufferSamples = 0;
  #endPosition = 0;
  #played = 0;
  #underruns = 0;
  #peak = 0;
  #lastSample = 0;
  #sinceTick = 0;
  #fade;
  #fadeLength = 0;
  #fadeOffset = 0;
  #cutId = 0;
  #cutAt = 0;
  #tail = 0;
  #recorder;

  /** @param {{processorOptions: {fadeSamplesMax: number, capture: boolean}}} options */
  constructor({ processorOptions }) {
    super();
    this.#fade = new Float32Array(processorOptions.fadeSamplesMax);
    this.#recorder = processorOptions.capture ? new Recorder() : null;
    this.port.onmessage = ({ data }) => this.#receive(data);
  }

  /** @param {any} message */
  #receive(message) {
    if (message.type === "cut") {
      this.#cut(message.id, message.fadeSamples);
    } else if (message.type === "open") {
      this.#cut(this.#cutId, message.fadeSamples);
      this.#generation = message.generation;
      this.#prebufferSamples = message.prebufferSamples;
      this.#endPosition = 0;
      this.#played = 0;
      this.#underruns = 0;
    } else if (message.type === "capture") {
      const samples = this.#recorder?.samples() ?? new Float32Array(0);
      this.port.postMessage({ type: "captured", samples }, [samples.buffer]);
    } else if (message.generation === this.#generation) {
      if (message.type === "pcm") this.#queue.push(message.samples);
      else if (message.type === "end") this.#endPosition = message.position;
    }
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, outputs) {
    const output = outputs[0][0];
    const faded = this.#playFade(output);
    let filled = faded;
    if (!this.#playing && this.#isFilled()) this.#begin(filled);
    if (this.#playing) filled += this.#play(output, filled);
    if (filled < output.length) this.#decay(output, filled);
    if (!this.#playing && faded === 0) this.#tail = Math.max(0, this.#tail - output.length);
    if (this.#recorder !== null && (this.#played > 0 || this.#recorder.length > 0)) {
      this.#recorder.add(output);
    }
    const ticking = this.#playing || this.#tail > 0;
    if (ticking && (this.#sinceTick += output.length) >= TICK_SAMPLES) {
      this.#post("tick", output.length);
    }
    return true;
  }

  #isFilled() {
    const depth = this.#queue.length;
    return depth > 0 && (depth >= this.#prebufferSamples || this.#isComplete());
  }

  /** Everything of the talkspurt is in the queue, or was. */
  #isComplete() {
    return this.#endPosition > 0 && this.#played + this.#queue.length >= this.#endPosition;
  }

  /** @param {number} offset in the quantum, of the first sample */
  #begin(offset) {
    this.#playing = true;
    this.#post(this.#talking ? "resumed" : "started", offset);
    this.#talking = true;
  }

  /**
   * @param {Float32Array} output
   * @param {number} from
   */
  #play(output, from) {
    const count = this.#queue.read(output, from);
    for (let i = from; i < from + count; i += 1) {
      this.#peak = Math.max(this.#peak, Math.abs(output[i]));
    }
    if (count > 0) this.#lastSample = output[from + count - 1];
    this.#played += count;
    if (from + count < output.length) this.#runDry(from + count);
    return count;
  }

  /** @param {number} offset in the quantum, behind the last sample */
  #runDry(offset) {
    this.#playing = false;
    this.#tail = TAIL_SAMPLES;
    this.#talking = !this.#isComplete();
    if (this.#talking) this.#underruns += 1;
    this.#post(this.#talking ? "underrun" : "drained", offset);
  }

  /**
   * Take what sounds next, shrinking to nothing, and forget the rest.
   * @param {number} id
   * @param {number} fadeSamples 0: at once
   */
  #cut(id, fadeSamples) {
    this.#cutId = id;
    const fade = this.#fade.subarray(0, fadeSamples);
    const wasFading = this.#fadeOffset < this.#fadeLength;
    if (!wasFading) {
      this.#cutAt = this.#played;
      this.#fadeOffset = 0;
      this.#fadeLength = this.#playing ? this.#queue.read(fade, 0) : 0;
      this.#played += this.#fadeLength;
      for (let i = 0; i < this.#fadeLength; i += 1) {
        fade[i] *= 0.5 + 0.5 * Math.cos((Math.PI * (i + 1)) / this.#fadeLength);
      }
    }
    this.#queue.clear();
    this.#playing = false;
    this.#talking = false;
    this.#tail = 0;
    if (!wasFading && this.#fadeLength === 0) this.#post("silent");
  }

  /**
   * @param {Float32Array} output
   * @returns {number} samples written
   */
  #playFade(output) {
    const count = Math.min(this.#fadeLength - this.#fadeOffset, output.length);
    if (count === 0) return 0;
    for (let i = 0; i < count; i += 1) output[i] = this.#fade[this.#fadeOffset + i];
    this.#fadeOffset += count;
    if (this.#fadeOffset === this.#fadeLength) {
      this.#lastSample = 0;
      this.#post("silent", count);
    }
    return count;
  }

  /**
   * @param {Float32Array} output
   * @param {number} from
   */
  #decay(output, from) {
    for (let i = from; i < output.length; i += 1) {
      this.#lastSample *= DECAY;
      output[i] = this.#lastSample;
    }
    if (Math.abs(this.#lastSample) < INAUDIBLE) this.#lastSample = 0;
  }

  /**
   * @param {string} type
   * @param {number} [offset] of the quantum up to which `played` counts
   */
  #post(type, offset = 0) {
    this.port.postMessage({
      type,
      generation: this.#generation,
      playing: this.#playing,
      played: this.#played,
      depth: this.#queue.length,
      underruns: this.#underruns,
      peak: this.#peak,
      time: currentTime + offset / sampleRate,
      captured: this.#recorder?.length ?? 0,
      cut: this.#cutId,
      cutAt: this.#cutAt,
      wallMs: type === "silent" ? Date.now() : 0,
    });
    this.#sinceTick = 0;
    this.#peak = 0;
  }
}

registerProcessor("voice-playout", PlayoutProcessor);
