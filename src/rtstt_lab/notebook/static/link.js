/** The client's link: attempts, the retry ladder, connect timeout, pings and silence. Twin of `protocol/client_link.py`. */

import { follow } from "./lifecycle.js";
import { RtsttError } from "./messages.js";
import { CLOSED_BY_CLIENT, LINK } from "./tables.js";
import { Backoff, Liveness, earliest } from "./timing.js";

/** One socket after the other. */
export class ClientLink {
  state = "connecting";
  attempt = -1;
  #settings;
  #events;
  #backoff;
  #retry_at = null;
  #answer_by = null;
  #liveness = null;
  #stable_at = 0;
  #lost_at = null;

  /** @param {object[]} events where OpenLink and CloseLink are put */
  constructor(settings, events) {
    this.#settings = settings;
    this.#events = events;
    this.#backoff = new Backoff(settings.backoff_s);
  }

  /** Whether there is a socket, or one is being opened. */
  get in_use() {
    return this.#answer_by !== null || this.#liveness !== null;
  }

  /** The first attempt. */
  connect(now) {
    if (this.attempt >= 0 || this.state === "closed") {
      throw new RtsttError("lifecycle", { state: this.state, event: "connect" });
    }
    this.#attempt(now);
  }

  /** An attempt by hand, at once, with the whole ladder behind it; a closed link begins anew first. */
  reconnect(now) {
    if (this.in_use) this.#drop("reconnect");
    if (this.state === "open") this.#leave_open(now);
    this.#backoff.reset();
    this.#attempt(now);
  }

  /** One attempt of a closed link, with no ladder behind it until it has proved itself. */
  try_again(now) {
    this.begin_anew();
    this.#backoff.use_up();
    this.#attempt(now);
  }

  /** A closed link: the next attempt has a table of its own. */
  begin_anew() {
    this.state = "connecting";
  }

  /** The socket is up; the server has not said a word yet. */
  socket_opened(now) {
    if (this.#answer_by === null) throw new RtsttError("lifecycle", { state: this.state, event: "link_opened" });
    this.#answer_by = now + this.#settings.connect_timeout_s;
  }

  /** The server's first message: the link is open. Returns how long it was lost, null if it is the first one. */
  answered(now) {
    this.state = follow(LINK, this.state, "opened");
    this.#answer_by = null;
    this.#liveness = new Liveness(this.#settings.ping_s, this.#settings.silence_s, now);
    this.#stable_at = now + this.#settings.stable_s;
    const outage_s = this.#lost_at === null ? null : now - this.#lost_at;
    this.#lost_at = null;
    return outage_s;
  }

  heard(now) {
    this.#liveness?.heard(now);
  }

  /** Something that was sent was acknowledged (rule 5). */
  proved(now) {
    if (this.state === "open" && now >= this.#stable_at) this.#backoff.reset();
  }

  /** The socket is gone, or is given up; returns whether there will be another attempt. */
  lost(reason, now, { close, retry_after_s = 0 }) {
    this.#drop(close ? reason : null);
    if (this.state === "open") this.#leave_open(now);
    else this.state = follow(LINK, this.state, "lost");
    const delay_s = this.#backoff.next_s();
    if (delay_s === null || retry_after_s > this.#settings.max_retry_after_s) {
      this.state = follow(LINK, this.state, "gave_up");
      return false;
    }
    this.#retry_at = now + Math.max(delay_s, retry_after_s);
    return true;
  }

  /** No further attempt, until `reconnect`. */
  close(reason, { close, code = CLOSED_BY_CLIENT }) {
    this.#drop(close ? reason : null, code);
    if (this.state !== "closed") this.state = follow(LINK, this.state, "closed");
  }

  get deadline() {
    return earliest(this.#retry_at, this.#answer_by, this.#liveness?.deadline ?? null);
  }

  /** Makes a retry that is due; "ping", "connect_timeout", "silence", or null. */
  due(now) {
    if (this.#retry_at !== null && now >= this.#retry_at) this.#attempt(now);
    if (this.#answer_by !== null && now >= this.#answer_by) return "connect_timeout";
    const due = this.#liveness?.due(now) ?? null;
    return due === "lost" ? "silence" : due;
  }

  #attempt(now) {
    this.#retry_at = null;
    this.attempt += 1;
    this.#answer_by = now + this.#settings.connect_timeout_s;
    this.#events.push({ type: "OpenLink", attempt: this.attempt });
  }

  #leave_open(now) {
    this.state = follow(LINK, this.state, "lost");
    this.#lost_at = now;
  }

  #drop(reason, code = CLOSED_BY_CLIENT) {
    if (reason !== null && this.in_use) this.#events.push({ type: "CloseLink", code, reason, link: 0 });
    this.#retry_at = this.#answer_by = this.#liveness = null;
  }
}
