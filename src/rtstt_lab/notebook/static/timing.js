/** The waiting of the client: liveness, backoff, counting, the other clock. Twin of `protocol/timing.py`. */

const ROUNDING = 1e-6;

/** Seconds as whole milliseconds, halves up, never negative. */
export function to_ms(seconds) {
  return Math.max(0, Math.floor(seconds * 1000 + 0.5));
}

/** The first of the deadlines that are set. */
export function earliest(...deadlines) {
  const set = deadlines.filter((deadline) => deadline !== null);
  return set.length ? Math.min(...set) : null;
}

/** A ping every `ping_s`; `silence_s` without any frame from the other side is a loss. */
export class Liveness {
  #ping_s;
  #silence_s;
  #ping_at;
  #lost_at;

  constructor(ping_s, silence_s, now) {
    this.#ping_s = ping_s;
    this.#silence_s = silence_s;
    this.#ping_at = now + ping_s;
    this.#lost_at = now + silence_s;
  }

  heard(now) {
    this.#lost_at = now + this.#silence_s;
  }

  get deadline() {
    return Math.min(this.#ping_at, this.#lost_at);
  }

  /** "ping", "lost" or null; a ping that is due is taken as sent. */
  due(now) {
    if (now >= this.#lost_at) return "lost";
    if (now < this.#ping_at) return null;
    this.#ping_at = now + this.#ping_s;
    return "ping";
  }
}

/** The retry ladder (L4). */
export class Backoff {
  #delays_s;
  tried = 0;

  constructor(delays_s) {
    this.#delays_s = delays_s;
  }

  /** How long to wait before the next attempt; null when all are used up. */
  next_s() {
    return this.tried === this.#delays_s.length ? null : this.#delays_s[this.tried++];
  }

  use_up() {
    this.tried = this.#delays_s.length;
  }

  reset() {
    this.tried = 0;
  }
}

/** Counts what happened within the last `window_s`. */
export class Counter {
  #limit;
  #window_s;
  #times = [];

  constructor(limit, window_s) {
    this.#limit = limit;
    this.#window_s = window_s;
  }

  /** Counts one more and says whether the limit is reached within the window. */
  add(now) {
    this.#times.push(now);
    if (this.#times.length > this.#limit) this.#times.shift();
    return this.full(now);
  }

  full(now) {
    return this.#times.length === this.#limit && now < this.#times[0] + this.#window_s;
  }

  /** When it will not be full any more; null if it is not full. */
  free_at() {
    return this.#times.length === this.#limit ? this.#times[0] + this.#window_s : null;
  }
}

/** Offset of the server's clock, from the quickest of the last exchanges (RFC 5905, section 8). */
export class ClockEstimate {
  #count;
  #samples = [];
  offset_ms = null;
  round_trip_ms = null;

  constructor(samples = 8) {
    this.#count = samples;
  }

  add(sent_ms, received_ms, answered_ms, arrived_ms) {
    const round_trip_ms = arrived_ms - sent_ms - (answered_ms - received_ms);
    this.#samples.push([round_trip_ms, (received_ms - sent_ms + (answered_ms - arrived_ms)) / 2]);
    if (this.#samples.length > this.#count) this.#samples.shift();
    const quicker = (a, b) => (b[0] < a[0] || (b[0] === a[0] && b[1] < a[1]) ? b : a);
    [this.round_trip_ms, this.offset_ms] = this.#samples.reduce(quicker);
  }
}

/** At most `rate_per_s` in the long run, `burst` at once; `grant` lets a known burst through (rule 8). */
export class TokenBucket {
  #rate_per_s;
  #burst;
  #level;
  #at;

  constructor(rate_per_s, burst, now) {
    this.#rate_per_s = rate_per_s;
    this.#burst = this.#level = burst;
    this.#at = now;
  }

  grant(tokens, now) {
    this.#refill(now);
    this.#level += tokens;
  }

  take(now) {
    this.#refill(now);
    if (this.#level < 1 - ROUNDING) return false;
    this.#level -= 1;
    return true;
  }

  ready_at() {
    return this.#at + Math.max(0, 1 - this.#level) / this.#rate_per_s;
  }

  #refill(now) {
    const filled = Math.min(this.#burst, this.#level + (now - this.#at) * this.#rate_per_s);
    this.#level = Math.max(this.#level, filled);
    this.#at = now;
  }
}
