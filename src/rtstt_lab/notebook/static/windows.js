/** The chunks that the page still holds, and the ledger of them. Twin of `protocol/windows.py`. */

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 of IEEE 802.3, as zlib computes it. */
export function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ CRC_TABLE[(value ^ byte) & 0xff];
  return (value ^ 0xffffffff) >>> 0;
}

/** The client's chunks, from their capture until the server has disposed of them for good. */
export class SendWindow {
  captured = 0;
  next_seq = 0;
  audio_ms = 0;
  credit_ms = 0;
  max_chunk_bytes;
  #max_buffer_bytes;
  #max_in_flight;
  #chunks = new Map();
  #first = 0;
  #copies_from = 0;
  #bytes = 0;
  #cursor = 0;
  #again = new Set();
  #in_flight = [];
  #in_flight_ms = 0;
  #closed = false;

  constructor(max_buffer_bytes, max_in_flight, max_chunk_bytes) {
    this.#max_buffer_bytes = max_buffer_bytes;
    this.#max_in_flight = max_in_flight;
    this.max_chunk_bytes = max_chunk_bytes;
  }

  /** Numbers a chunk and keeps it; returns its number, and why it is lost already if it is. */
  append(payload, { duration_ms, captured_ms, stream, mime }) {
    let reason = null;
    if (payload.length > this.max_chunk_bytes) reason = "too_large";
    else if (!this.#make_room(payload.length)) reason = "buffer_full";
    const seq = this.captured++;
    this.audio_ms += duration_ms;
    const kept = reason ? null : payload;
    this.#bytes += kept?.length ?? 0;
    const crc = kept ? crc32(kept) : 0;
    const chunk = { seq, stream, payload: kept, duration_ms, captured_ms, mime, crc32: crc, end_ms: this.audio_ms };
    this.#chunks.set(seq, chunk);
    return [seq, reason];
  }

  /** The chunk to send next, if the server's credit and the bound on unanswered ones allow any. */
  to_send() {
    const chunk = this.#wanted();
    if (!chunk || this.#closed || this.#in_flight.length >= this.#max_in_flight) return null;
    const fits = this.#in_flight_ms + chunk.duration_ms <= this.credit_ms;
    const alone = this.#in_flight.length === 0 && this.credit_ms > 0;
    return fits || alone || chunk.payload === null ? chunk : null;
  }

  sent(chunk) {
    this.#again.delete(chunk.seq);
    this.#cursor = Math.max(this.#cursor, chunk.seq + 1);
    this.#in_flight.push(chunk);
    this.#in_flight_ms += chunk.duration_ms;
  }

  /** The frame with `seq` was answered (null: none was): all sent before it are known to have arrived or not. */
  answered(seq, missing) {
    if (this.#in_flight.some((chunk) => chunk.seq === seq)) while (this.#pop_in_flight() !== seq);
    const on_the_way = new Set(this.#in_flight.map((chunk) => chunk.seq));
    for (const seq of missing) if (seq < this.#cursor && !on_the_way.has(seq)) this.#again.add(seq);
  }

  /** Sends the first chunk again that the server is not known to have: its answer is long overdue. */
  ask_oldest() {
    if (this.next_seq < this.#cursor) this.#again.add(this.next_seq);
  }

  get unanswered() {
    return this.next_seq < this.#cursor && !this.#closed;
  }

  /** The server's marks: received below the first, disposed of below the second, not needed below the third. */
  advance(next_seq, committed_seq, resume_seq) {
    this.next_seq = Math.min(Math.max(this.next_seq, next_seq), this.captured);
    this.#cursor = Math.max(this.#cursor, this.next_seq);
    for (const seq of this.#again) if (seq < this.next_seq) this.#again.delete(seq);
    while (this.#first < Math.min(committed_seq, resume_seq, this.next_seq)) {
      this.#bytes -= this.#chunks.get(this.#first).payload?.length ?? 0;
      this.#chunks.delete(this.#first++);
    }
    this.#copies_from = Math.max(this.#copies_from, this.#first);
  }

  /** What was on its way is cut. */
  link_lost() {
    this.#in_flight = [];
    this.#in_flight_ms = 0;
    this.#again.clear();
  }

  /** Starts again at the chunk that the server wants; returns those it wants that were given up. */
  synchronise(next_seq) {
    const before = this.next_seq;
    this.next_seq = this.#cursor = Math.min(Math.max(next_seq, this.#first), this.captured);
    return this.#range(this.next_seq, before).filter((chunk) => chunk.payload === null).map((chunk) => chunk.seq);
  }

  /** Moves chunks that were numbered before the server told where its own numbering stands. */
  rebase(first_seq, first_stream, audio_ms) {
    const chunks = [...this.#chunks.values()];
    for (const chunk of chunks) {
      chunk.seq += first_seq;
      chunk.stream += first_stream;
      chunk.end_ms += audio_ms;
    }
    this.#chunks = new Map(chunks.map((chunk) => [chunk.seq, chunk]));
    this.captured += first_seq;
    this.audio_ms += audio_ms;
    this.#first = this.#copies_from = this.#cursor = this.next_seq = first_seq;
  }

  /** The session takes no more; returns first and last chunk lost by this, if any. */
  close() {
    const lost = this.waiting.map((chunk) => chunk.seq);
    for (const chunk of this.#chunks.values()) chunk.payload = null;
    this.#bytes = 0;
    this.#closed = true;
    return lost.length ? [lost[0], lost.at(-1)] : null;
  }

  /** First and last chunk in the buffer. */
  get bounds() {
    return this.#first < this.captured ? [this.#first, this.captured - 1] : null;
  }

  /** Chunks with audio that the server has not received, as far as is known. */
  get waiting() {
    return this.#range(this.next_seq, this.captured).filter((chunk) => chunk.payload !== null);
  }

  /** Both halves of the ledger. */
  ledger(transmitted, { accepted = 0, duplicate = 0, rejected = 0, lost = 0 } = {}) {
    const waiting = this.waiting.length;
    const given_up = this.captured - this.next_seq - waiting;
    return {
      captured: this.captured,
      transmitted,
      accepted,
      duplicate,
      rejected,
      cut: transmitted - accepted - duplicate - rejected,
      lost: lost + given_up,
      held: waiting,
    };
  }

  #range(from, to) {
    return Array.from({ length: Math.max(0, to - from) }, (_, index) => this.#chunks.get(from + index));
  }

  #wanted() {
    if (this.#again.size) return this.#chunks.get(Math.min(...this.#again));
    return this.#cursor < this.captured ? this.#chunks.get(this.#cursor) : null;
  }

  #pop_in_flight() {
    const chunk = this.#in_flight.shift();
    this.#in_flight_ms -= chunk.duration_ms;
    return chunk.seq;
  }

  #make_room(size) {
    while (this.#bytes + size > this.#max_buffer_bytes && this.#copies_from < this.next_seq) {
      const copy = this.#chunks.get(this.#copies_from++);
      this.#bytes -= copy.payload?.length ?? 0;
      copy.payload = null;
    }
    return this.#bytes + size <= this.#max_buffer_bytes;
  }
}
