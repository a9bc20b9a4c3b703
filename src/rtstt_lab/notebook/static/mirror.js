/** Tells Python what the page knows: at most ten times a second, and the last word always. */

const PERIOD_MS = 100;

export class Mirror {
  #send;
  #finals = 0;
  #dueMs = 0;
  #timer = null;

  /** @param {(message: object) => void} send over the widget's comm; its messages are not saved with a notebook */
  constructor(send) {
    this.#send = send;
  }

  /** @param {() => object} read what is to be told, read when it is sent; its `finals` go once each */
  update(read) {
    if (this.#timer !== null) return;
    const waitMs = Math.max(0, this.#dueMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#dueMs = performance.now() + PERIOD_MS;
      const { finals, ...rest } = read();
      this.#send({ type: "mirror", ...rest, start: this.#finals, finals: finals.slice(this.#finals) });
      this.#finals = finals.length;
    }, waitMs);
  }

  /** A new session has no finals yet. */
  reset() {
    this.#finals = 0;
  }

  close() {
    clearTimeout(this.#timer);
  }
}
