/**
 * What a reload of this tab should not forget: the text and the settings.
 *
 * Session storage, because a text may be private: it ends with the tab, and no other tab sees it.
 * The API key is never stored.  A browser that forbids storage just forgets.
 */

const PREFIX = "voice-gateway.";

export const remembered = {
  /**
   * @param {string} name
   * @returns {string | null}
   */
  get(name) {
    try {
      return sessionStorage.getItem(PREFIX + name);
    } catch {
      return null;
    }
  },

  /**
   * @param {string} name
   * @param {string} value
   */
  set(name, value) {
    try {
      sessionStorage.setItem(PREFIX + name, value);
    } catch {
      // forbidden, or full: the page works all the same
    }
  },
};
