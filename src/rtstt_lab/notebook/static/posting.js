/** Blocks on their way over HTTP, one at a time, by the first way to the server that answers. */

/** The addresses of a session's blocks, in the order of those of its socket. */
export const blockAddresses = (sockets) =>
  sockets.map((address) => address.replace(/^ws/, "http").replace(/\/ws$/, "/blocks"));

/** What a refusal says: the server's own has a code; somebody's on the way has none. */
async function refusalOf(response) {
  const { code = null, message, retry_after_s } = await response.json().catch(() => ({}));
  return { reason: message ?? `HTTP ${response.status}`, code, retry_after_s: retry_after_s ?? 0 };
}

export class BlockPost {
  #addresses;
  #told;
  #request = null;

  /**
   * @param {string[]} addresses tried in turn until the server has answered
   * @param {(block: number, outcome: object) => void} told the receipt, or reason, code and retry_after_s
   */
  constructor(addresses, told) {
    this.#addresses = [...addresses];
    this.#told = told;
  }

  /** Posts what a SendBlock asks for; a block that is still on its way is given up. */
  async post({ block, body, after, new: isNew, token }) {
    this.drop();
    const request = (this.#request = new AbortController());
    const address = `${this.#addresses[0]}?after=${after}${isNew ? "&new=true" : ""}`;
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/octet-stream" };
    const outcome = await fetch(address, { method: "POST", headers, body, signal: request.signal })
      .then(async (response) => (response.ok ? { receipt: await response.json() } : refusalOf(response)))
      .catch((error) => ({ reason: error.message }));
    if (request.signal.aborted) return;
    // This way did not lead to a server, so the next block takes the other one.
    if (!outcome.receipt && !outcome.code) this.#addresses.push(this.#addresses.shift());
    this.#told(block, outcome);
  }

  /** What is on its way is not waited for. */
  drop() {
    this.#request?.abort();
  }
}
