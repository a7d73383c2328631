/**
 * voice.v1 on the wire (docs/protocol.md): JSON text messages both ways, binary audio to us.
 *
 * A binary message is a 16-byte little-endian header and one or more length-prefixed frames:
 *
 *     0        1        2                 4                 6                 8
 *     +--------+--------+-----------------+-----------------+-----------------+
 *     |ver|flag| frames |  context number |   generation    | frame duration  |
 *     +--------+--------+-----------------+-----------------+-----------------+
 *     |          sequence number          |             timestamp             |
 *     +-----------------------------------+-----------------------------------+
 *     | length | frame … | length | frame …
 *
 * Times are media time: samples at 48 kHz, whatever the codec's rate.  Nothing here keeps state.
 */

/** Ticks of media time in one second. */
export const MEDIA_RATE = 48_000;

/** Name of the WebSocket subprotocol. */
export const SUBPROTOCOL = "voice.v1";

const VERSION = 1;
const HEADER_BYTES = 16;
const FLAG_MARKER = 0b0001;
const FLAG_LAST = 0b0010;

/** A message that does not follow docs/protocol.md. */
export class WireError extends Error {
  name = "WireError";
}

/**
 * One binary message.
 * @typedef {object} AudioMessage
 * @property {boolean} marker first frame of a talkspurt
 * @property {boolean} last last frame of a talkspurt
 * @property {number} contextNumber as announced by `started`
 * @property {number} generation modulo 65536
 * @property {number} frameSamples duration of each frame, media samples
 * @property {number} sequenceNumber of the first frame
 * @property {number} timestamp of the first frame, media samples
 * @property {Uint8Array[]} frames views into the message, not copies
 * @property {number} endTimestamp media time at which the last frame ends
 */

/**
 * Decode a binary message.
 * @param {ArrayBuffer} buffer
 * @returns {AudioMessage}
 * @throws {WireError} if it is too short, too long or of another version
 */
export function decodeAudio(buffer) {
  if (buffer.byteLength < HEADER_BYTES) {
    throw new WireError(`An audio message has at least 16 bytes, not ${buffer.byteLength}.`);
  }
  const view = new DataView(buffer);
  const first = view.getUint8(0);
  if (first >> 4 !== VERSION) {
    throw new WireError(`This client speaks audio version ${VERSION}, not ${first >> 4}.`);
  }
  const frames = splitFrames(view, view.getUint8(1));
  const frameSamples = view.getUint16(6, true);
  const timestamp = view.getUint32(12, true);
  return {
    marker: (first & FLAG_MARKER) !== 0,
    last: (first & FLAG_LAST) !== 0,
    contextNumber: view.getUint16(2, true),
    generation: view.getUint16(4, true),
    frameSamples,
    sequenceNumber: view.getUint32(8, true),
    timestamp,
    frames,
    endTimestamp: timestamp + frames.length * frameSamples,
  };
}

/**
 * @param {DataView} view the whole message
 * @param {number} count frames that the header promises
 * @returns {Uint8Array[]}
 */
function splitFrames(view, count) {
  const frames = [];
  let offset = HEADER_BYTES;
  for (let i = 0; i < count; i += 1) {
    if (offset + 2 > view.byteLength) {
      throw new WireError(`Frame ${i} of ${count} has no length: the message is cut.`);
    }
    const length = view.getUint16(offset, true);
    offset += 2;
    if (offset + length > view.byteLength) {
      throw new WireError(`Frame ${i} of ${count} should have ${length} bytes: it is cut.`);
    }
    frames.push(new Uint8Array(view.buffer, view.byteOffset + offset, length));
    offset += length;
  }
  if (offset !== view.byteLength) {
    throw new WireError(`${view.byteLength - offset} bytes follow the last of ${count} frames.`);
  }
  return frames;
}

/**
 * Decode a text message.
 * @param {string} text
 * @returns {{type: string, [field: string]: any}}
 * @throws {WireError} if it is not a JSON object with a `type`
 */
export function decodeEvent(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    throw new WireError("A text message is not JSON.");
  }
  if (event === null || typeof event !== "object" || typeof event.type !== "string") {
    throw new WireError("A text message is not a JSON object with a type.");
  }
  return event;
}

/**
 * Encode a text message; fields that are undefined are left out.
 * @param {string} type
 * @param {Record<string, unknown>} [fields]
 * @returns {string}
 */
export function encodeCommand(type, fields = {}) {
  return JSON.stringify({ type, ...fields });
}
