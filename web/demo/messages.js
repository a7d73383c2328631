/** Errors in plain words, with what to do. */

/**
 * @typedef {object} Notice
 * @property {string} title
 * @property {string} text
 * @property {"key" | "reconnect" | "resume" | null} action what the page should offer
 */

/** @type {Record<string, {title: string, text: string, action?: Notice["action"]}>} */
const BY_CODE = {
  unauthorized: {
    title: "This gateway asks for an API key",
    text: "Enter the key that its operator gave you, then connect.",
    action: "key",
  },
  forbidden_origin: {
    title: "This page may not use the gateway",
    text: "The operator has to add this page's address to server.allowed_origins.",
  },
  overloaded: {
    title: "The gateway is full",
    text: "All its sessions are in use.",
  },
  draining: {
    title: "The gateway is restarting",
    text: "",
  },
  limit_exceeded: { title: "That is more than the gateway takes", text: "" },
  invalid_value: { title: "The gateway does not accept a setting", text: "" },
  synthesis_failed: {
    title: "A part of the text could not be spoken",
    text: "Try it again, or choose another voice.",
  },
};

/** @type {Record<number, string>} */
const BY_CLOSE = {
  1006: "The gateway can't be reached. Is it running?",
  1008: "The gateway closed the connection because of a limit.",
  1009: "A message was too big for the gateway.",
  1011: "The gateway had an internal error. Its log tells more.",
  1012: "The gateway is restarting.",
  1013: "The gateway is full at present.",
  4409: "Another page has taken this session over.",
  4408: "This page read too slowly, so the gateway gave up on it.",
};

/**
 * Words for an `error` or `warning` message of the gateway.
 * @param {{code: string, message: string}} error
 * @returns {Notice}
 */
export function describeError(error) {
  const known = BY_CODE[error.code];
  if (known === undefined) {
    return { title: "The gateway reports a problem", text: error.message, action: null };
  }
  const text = [error.message, known.text].filter(Boolean).join(" ");
  return { title: known.title, text, action: known.action ?? null };
}

/**
 * Words for a connection that closed, or null if that is no news.
 * @param {import("./voice-client.js").ClientState} state
 * @returns {Notice | null}
 */
export function describeClose({ code, error, retryInMs, resuming }) {
  if (resuming || code === 4404) return null; // it goes on, or a new session follows at once
  if (code === 4401) return describeError({ code: "unauthorized", message: error?.message ?? "" });
  const again =
    retryInMs === undefined
      ? "Press Reconnect to try again."
      : `Next attempt in ${Math.max(1, Math.round(retryInMs / 1000))} s.`;
  if (error) {
    const notice = describeError(error);
    return { ...notice, text: `${notice.text} ${again}`, action: "reconnect" };
  }
  if (code === undefined || code === 1000 || code === 1001) return null;
  const text = `${BY_CLOSE[code] ?? `It was closed with code ${code}.`} ${again}`;
  return { title: "Not connected", text, action: "reconnect" };
}

/**
 * Words for the sound output, or null while it works.
 * @param {string} state of the AudioContext
 * @returns {Notice | null}
 */
export function describeOutput(state) {
  if (state === "running" || state === "closed") return null;
  return {
    title: "The browser has paused the sound",
    text: "Another app or a call may use the loudspeaker, or the device was unplugged.",
    action: "resume",
  };
}
