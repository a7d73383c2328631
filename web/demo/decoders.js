/**
 * Packets in, 48 kHz mono Float32Array out.  One decoder serves one generation.
 *
 *     opus  ── WebCodecs AudioDecoder where the browser has Opus, else libopus as wasm (vendor/)
 *     pcm   ── signed 16 bit ─┐
 *     pcmu  ── G.711 µ-law  ──┼─► Upsampler
 *     pcma  ── G.711 A-law  ──┘
 *
 * Opus decoders return the encoder's lookahead first; dropping it (`preskip_samples`) is the
 * player's business.
 */

import { MEDIA_RATE } from "./wire.js";
import { Upsampler } from "./upsampler.js";

/** @typedef {"webcodecs" | "wasm"} OpusKind */

/**
 * @typedef {object} Sink
 * @property {(samples: Float32Array) => void} samples
 * @property {(error: Error) => void} error the packet, or the decoder, is lost
 */

/**
 * @typedef {object} Decoder
 * @property {(packet: Uint8Array) => void} decode
 * @property {() => void} endTalkspurt hand over what is held back
 * @property {() => void} close no samples follow
 */

/**
 * Which Opus decoder this browser should use.
 * @param {OpusKind | "auto"} preference
 * @returns {Promise<OpusKind>}
 */
export async function pickOpusDecoder(preference) {
  const config = { codec: "opus", sampleRate: MEDIA_RATE, numberOfChannels: 1 };
  const supported =
    preference !== "wasm" &&
    "AudioDecoder" in globalThis &&
    (await AudioDecoder.isConfigSupported(config)).supported;
  if (supported) return "webcodecs";
  if (preference === "webcodecs") throw new Error("This browser's WebCodecs can't decode Opus.");
  await loadWasm();
  return "wasm";
}

/** @returns {Promise<any>} the class OpusDecoder of the bundle */
async function loadWasm() {
  await import("./vendor/opus-decoder.min.js"); // a UMD bundle: it sets a global
  return /** @type {any} */ (globalThis)["opus-decoder"].OpusDecoder;
}

/**
 * @param {{codec: string, sample_rate: number, channels?: number}} format from `started`
 * @param {OpusKind} opusKind
 * @param {Sink} sink
 * @returns {Decoder}
 */
export function createDecoder(format, opusKind, sink) {
  if ((format.channels ?? 1) !== 1) throw new Error("This player takes mono audio only.");
  if (format.codec === "opus") {
    return opusKind === "webcodecs" ? new WebCodecsOpus(sink) : new WasmOpus(sink);
  }
  const expand = { pcm: expandPcm, pcmu: expandMuLaw, pcma: expandALaw }[format.codec];
  if (expand === undefined) throw new Error(`This player knows no codec named ${format.codec}.`);
  return new PcmDecoder(expand, MEDIA_RATE / format.sample_rate, sink);
}

/** The browser's decoder, on a thread of its own. */
class WebCodecsOpus {
  #decoder;
  #timestampUs = 0;

  /** @param {Sink} sink */
  constructor(sink) {
    this.#decoder = new AudioDecoder({
      output: (data) => {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
        data.close();
        sink.samples(samples);
      },
      error: sink.error,
    });
    this.#decoder.configure({ codec: "opus", sampleRate: MEDIA_RATE, numberOfChannels: 1 });
  }

  /** @param {Uint8Array} packet */
  decode(packet) {
    if (this.#decoder.state !== "configured") return;
    const chunk = { type: "key", timestamp: this.#timestampUs, data: packet };
    this.#timestampUs += 20_000; // must rise; nobody reads it
    this.#decoder.decode(new EncodedAudioChunk(/** @type {any} */ (chunk)));
  }

  /** Each packet gives its samples at once; a flush() would reset the codec's state. */
  endTalkspurt() {}

  close() {
    if (this.#decoder.state !== "closed") this.#decoder.close();
  }
}

/** libopus as wasm, on the page's thread: 0.1–0.2 ms for a frame. */
class WasmOpus {
  #sink;
  /** @type {any} */
  #decoder = null;
  /** Packets that came before the module was compiled. @type {Uint8Array[]} */
  #waiting = [];
  #closed = false;

  /** @param {Sink} sink */
  constructor(sink) {
    this.#sink = sink;
    this.#load().catch(sink.error);
  }

  async #load() {
    const OpusDecoder = await loadWasm();
    const decoder = new OpusDecoder({ channels: 1, sampleRate: MEDIA_RATE });
    await decoder.ready;
    if (this.#closed) {
      decoder.free();
      return;
    }
    this.#decoder = decoder;
    for (const packet of this.#waiting.splice(0)) this.decode(packet);
  }

  /** @param {Uint8Array} packet */
  decode(packet) {
    if (this.#closed) return;
    if (this.#decoder === null) {
      this.#waiting.push(packet);
      return;
    }
    const { channelData, errors } = this.#decoder.decodeFrame(packet);
    if (errors.length > 0) this.#sink.error(new Error(errors[0].message));
    else this.#sink.samples(channelData[0]);
  }

  endTalkspurt() {}

  close() {
    this.#closed = true;
    this.#decoder?.free();
    this.#decoder = null;
  }
}

/** Uncompressed audio of any of our rates. */
class PcmDecoder {
  #expand;
  #upsampler;
  #sink;

  /**
   * @param {(packet: Uint8Array) => Float32Array} expand
   * @param {number} factor
   * @param {Sink} sink
   */
  constructor(expand, factor, sink) {
    this.#expand = expand;
    this.#upsampler = new Upsampler(factor);
    this.#sink = sink;
  }

  /** @param {Uint8Array} packet */
  decode(packet) {
    this.#sink.samples(this.#upsampler.push(this.#expand(packet)));
  }

  endTalkspurt() {
    this.#sink.samples(this.#upsampler.flush());
  }

  close() {}
}

/** @param {Uint8Array} packet signed 16-bit little-endian */
function expandPcm(packet) {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  return Float32Array.from(
    { length: packet.byteLength >> 1 },
    (_, i) => view.getInt16(2 * i, true) / 32_768,
  );
}

/** @param {Uint8Array} packet G.711 µ-law */
function expandMuLaw(packet) {
  return Float32Array.from(packet, (byte) => {
    const code = ~byte & 0xff;
    const magnitude = ((((code & 0x0f) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84;
    return (code & 0x80 ? -magnitude : magnitude) / 32_768;
  });
}

/** @param {Uint8Array} packet G.711 A-law */
function expandALaw(packet) {
  return Float32Array.from(packet, (byte) => {
    const code = byte ^ 0x55;
    const segment = (code & 0x70) >> 4;
    const mantissa = (code & 0x0f) << 4;
    const magnitude = segment === 0 ? mantissa + 8 : (mantissa + 0x108) << (segment - 1);
    return (code & 0x80 ? magnitude : -magnitude) / 32_768;
  });
}
