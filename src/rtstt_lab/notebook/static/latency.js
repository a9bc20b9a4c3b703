/** Latency as the client sees it (M1). Twin of `protocol/latency.py`. */

import { to_ms } from "./timing.js";

/** How many of `ordered` (ascending) do not exceed `value`. */
function bisect_right(ordered, value) {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value < ordered[middle]) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The smallest value that at least `share` of `ordered` (ascending, not empty) do not exceed. */
function nearest_rank(ordered, share) {
  const rank = Math.ceil((ordered.length * Math.round(share * 100)) / 100);
  return ordered[Math.max(rank, 1) - 1];
}

/** Follows every chunk from its sending to its first result. */
export class LatencyTracker {
  #chunks = [];
  #ends_ms = [];
  #covered = 0;
  #heard = 0;
  #latest_s = 0;

  /** A chunk goes out for the first time; numbers ascend. */
  sent(seq, { duration_ms, end_ms, now }) {
    if (this.#chunks.length && seq <= this.#chunks.at(-1).seq) return;
    this.#chunks.push({ seq, duration_ms, end_ms, sent_s: now, covered_s: null, speech: false });
    this.#ends_ms.push(end_ms);
  }

  /** A partial or final arrived that heard the audio up to `audio_end_ms`. */
  result(audio_end_ms, words, now) {
    for (const { start_ms, end_ms } of words) {
      for (const chunk of this.#chunks.slice(bisect_right(this.#ends_ms, start_ms))) {
        if (chunk.end_ms - chunk.duration_ms >= end_ms) break;
        chunk.speech = true;
      }
    }
    const first = this.#covered;
    this.#covered = Math.max(first, bisect_right(this.#ends_ms, audio_end_ms));
    const newly = this.#chunks.slice(first, this.#covered);
    for (const chunk of newly) chunk.covered_s = now;
    const waited_s = newly.filter((chunk) => chunk.speech).map((chunk) => now - chunk.sent_s);
    if (waited_s.length) this.#latest_s = Math.max(...waited_s);
    this.#heard = Math.max(this.#heard, this.#covered);
  }

  /** The server has listened up to here, with or without a result. */
  heard(heard_ms) {
    this.#heard = Math.max(this.#heard, bisect_right(this.#ends_ms, heard_ms));
  }

  /** Latency at this moment: of the newest speech, or the age of the oldest chunk not yet listened to. */
  current_s(now) {
    const waiting = this.#chunks[this.#heard];
    return Math.max(this.#latest_s, waiting ? now - waiting.sent_s : 0);
  }

  /** The session is over: speech that no result covered has waited until now. */
  finish(now) {
    for (const chunk of this.#chunks.slice(this.#covered)) if (chunk.speech) chunk.covered_s = now;
    this.#covered = this.#heard = this.#chunks.length;
  }

  /** Over the covered chunks of speech so far; null before the first one. */
  figures() {
    const latencies_s = this.#chunks
      .filter((chunk) => chunk.speech && chunk.covered_s !== null)
      .map((chunk) => chunk.covered_s - chunk.sent_s)
      .sort((a, b) => a - b);
    if (latencies_s.length === 0) return null;
    return {
      n: latencies_s.length,
      mean_ms: to_ms(latencies_s.reduce((sum, latency_s) => sum + latency_s, 0) / latencies_s.length),
      p50_ms: to_ms(nearest_rank(latencies_s, 0.5)),
      p95_ms: to_ms(nearest_rank(latencies_s, 0.95)),
    };
  }
}
