/** One WebSocket at a time, by the first way to the server that answers. */

/**
 * The addresses of a session's socket, best first: through the page's own server (jupyter-server-proxy), which works
 * from any machine, then directly, which a page on this machine may do where the proxy is not installed.
 *
 * @param {{port: number, path: string}} server
 * @param {{protocol: string, host: string, hostname: string}} location the page's
 * @param {string} baseUrl of the page's server, with a slash at both ends
 */
export function addresses({ port, path }, location, baseUrl) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const proxied = `${scheme}//${location.host}${baseUrl}proxy/${port}${path}`;
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  return scheme === "ws:" && local ? [proxied, `ws://127.0.0.1:${port}${path}`] : [proxied];
}

/** Where the page's Jupyter server lives, e.g. `/user/ana/`. */
export function pageBaseUrl(document) {
  const config = document.getElementById("jupyter-config-data")?.textContent;
  return (config && JSON.parse(config).baseUrl) || document.body.dataset.baseUrl || "/";
}

/** The page's own origin, for which alone the server opens the session; null where browsers send none by name. */
export const pageOrigin = ({ origin }) => (origin === "null" ? null : origin);

export class Transport {
  #addresses;
  #protocol;
  #handlers;
  #socket = null;
  #answered = false;

  /**
   * @param {string[]} addresses tried in turn until one has answered
   * @param {string} protocol subprotocol
   * @param {{opened: () => void, text: (frame: string) => void, lost: (reason: string, code: number) => void}} handlers
   */
  constructor(addresses, protocol, handlers) {
    this.#addresses = [...addresses];
    this.#protocol = protocol;
    this.#handlers = handlers;
  }

  open() {
    this.close(1000, "a new attempt");
    const socket = new WebSocket(this.#addresses[0], this.#protocol);
    this.#socket = socket;
    this.#answered = false;
    const whileCurrent = (act) => (event) => socket === this.#socket && act(event);
    socket.onopen = whileCurrent(() => this.#handlers.opened());
    socket.onmessage = whileCurrent((event) => {
      this.#answered = true;
      this.#handlers.text(event.data);
    });
    socket.onclose = whileCurrent((event) => this.#lost(event.reason || `code ${event.code}`, event.code));
  }

  send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  close(code, reason) {
    const socket = this.#socket;
    this.#socket = null;
    // A page may only name 1000 and 3000 to 4999.
    socket?.close(code >= 3000 ? code : 1000, reason.slice(0, 100));
  }

  #lost(reason, code) {
    this.#socket = null;
    // This way never led to a server, so the next attempt takes the other one.
    if (!this.#answered) this.#addresses.push(this.#addresses.shift());
    this.#handlers.lost(reason, code);
  }
}
