/** The chunks that the page still holds, and the ledger of them. Twin of `protocol/send_window.py`. */

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

/** Of a block's record beside its payload, roughly. */
const RECORD_BYTES = 300;

const sizeOf = (chunk) => chunk.payload?.length ?? 0;

/**
 * The client's chunks, from their capture until the server has disposed of them for good; and the first chunk of each
 * recorder of which it holds another, and of the present one: a restarted server needs the container's header again.
 */
export class SendWindow {
  captured = 0;
  next_seq = 0;
  audio_ms = 0;
  credit_ms = 0;
  max_chunk_bytes;
  #max_buffer_bytes;
  #max_in_flight;
  #chunks = new Map();
  #firsts = new Map();
  #first = 0;
  #copies_from = 0;
  #bytes = 0;
  #cursor = 0;
  #again = new Set();
  #header = null;
  #in_flight = [];
  #in_flight_ms = 0;
  #highest = 0;
  #end = null;

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
    const crc = kept ? crc32(kept) : 0;
    const facts = { seq, stream, payload: kept, duration_ms, captured_ms, mime, crc32: crc, end_ms: this.audio_ms };
    const chunk = { ...facts, first: stream > Math.max(-1, ...this.#firsts.keys()), told: kept === null };
    this.#bytes += sizeOf(chunk);
    this.#chunks.set(seq, chunk);
    if (chunk.first) {
      this.#firsts.set(stream, chunk);
      this.#forget_recorders();
    }
    return [seq, reason];
  }

  /** The chunk to send next, if credit and the bound on unanswered ones allow any; a header asked for goes first. */
  to_send() {
    if (this.#in_flight.length >= this.#max_in_flight) return null;
    if (this.#header) return this.#header;
    const chunk = this.#wanted();
    if (!chunk) return null;
    const fits = this.#in_flight_ms + chunk.duration_ms <= this.credit_ms;
    const alone = this.#in_flight.length === 0 && this.credit_ms > 0;
    return fits || alone || chunk.payload === null ? chunk : null;
  }

  /** Whether it goes out for its container's header only. */
  is_header(chunk) {
    return chunk === this.#header;
  }

  sent(chunk) {
    if (this.is_header(chunk)) {
      this.#header = null;
      this.#in_flight.push({ seq: chunk.seq, duration_ms: 0 });
      return;
    }
    this.#again.delete(chunk.seq);
    this.#cursor = Math.max(this.#cursor, chunk.seq + 1);
    this.#in_flight.push({ seq: chunk.seq, duration_ms: chunk.duration_ms });
    this.#in_flight_ms += chunk.duration_ms;
  }

  /** What goes into one block of so many bytes (the first chunk may be longer), in order: a header, then chunks. */
  block(max_bytes) {
    const chunks = this.#header ? [this.#header] : [];
    let size = chunks.reduce((sum, chunk) => sum + sizeOf(chunk), 0);
    let left_ms = this.credit_ms;
    for (let seq = this.next_seq; seq < this.#limit; seq++) {
      const chunk = this.#chunks.get(seq);
      size += sizeOf(chunk) + RECORD_BYTES;
      const begun = seq > this.next_seq;
      const fits = chunk.payload === null || (left_ms > 0 && (!begun || chunk.duration_ms <= left_ms));
      if (!fits || (begun && size > max_bytes)) break;
      chunks.push(chunk);
      if (chunk.payload !== null) left_ms -= chunk.duration_ms;
    }
    return chunks;
  }

  /** The frame with `seq` was answered (null: none was): all sent before it are known to have arrived or not. */
  answered(seq, missing) {
    if (this.#in_flight.some((chunk) => chunk.seq === seq)) while (this.#pop_in_flight() !== seq);
    const on_the_way = new Set(this.#in_flight.map((chunk) => chunk.seq));
    for (const wanted of missing) {
      if (on_the_way.has(wanted)) continue;
      if (wanted < this.next_seq) this.#ask_header(wanted);
      else if (wanted < Math.min(this.#cursor, this.#limit)) this.#again.add(wanted);
    }
  }

  /** Sends the first chunk again that the server is not known to have: its answer is long overdue. */
  ask_oldest() {
    if (this.next_seq < this.#cursor) this.#again.add(this.next_seq);
  }

  get unanswered() {
    return this.next_seq < Math.min(this.#cursor, this.#limit);
  }

  /** The server's marks: received below the first, disposed of below the second, not needed below the third. */
  advance(next_seq, committed_seq, resume_seq) {
    this.next_seq = Math.min(Math.max(this.next_seq, next_seq), this.captured);
    this.#cursor = Math.max(this.#cursor, this.next_seq);
    this.#highest = Math.max(this.#highest, this.next_seq);
    for (const seq of this.#again) if (seq < this.next_seq) this.#again.delete(seq);
    while (this.#first < Math.min(committed_seq, resume_seq, this.next_seq)) {
      const chunk = this.#chunks.get(this.#first);
      if (!chunk.first) this.#bytes -= sizeOf(chunk);
      this.#chunks.delete(this.#first++);
    }
    this.#copies_from = Math.max(this.#copies_from, this.#first);
    this.#forget_recorders();
  }

  /** What was on its way is cut. */
  link_lost() {
    this.#in_flight = [];
    this.#in_flight_ms = 0;
    this.#again.clear();
  }

  /**
   * Starts again at the chunk that the server wants, with its recorder's first before it if that is named; returns those it
   * wants that were given up, each told once. Chunks below `end_seq` were received before, of a session that has stopped.
   */
  synchronise(next_seq, header_seq = null, end_seq = null) {
    this.link_lost();
    this.#header = null;
    this.next_seq = this.#cursor = Math.min(Math.max(next_seq, this.#first), this.captured);
    this.#highest = Math.max(this.#highest, this.next_seq, end_seq ?? 0);
    if (header_seq !== null && header_seq < this.next_seq) this.#ask_header(header_seq);
    const untold = this.#beyond.filter((chunk) => chunk.payload === null && !chunk.told);
    for (const chunk of untold) chunk.told = true;
    return untold.map((chunk) => chunk.seq);
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
    this.#firsts = new Map([...this.#firsts.values()].map((chunk) => [chunk.stream, chunk]));
    this.captured += first_seq;
    this.audio_ms += audio_ms;
    this.#first = this.#copies_from = this.#cursor = this.next_seq = this.#highest = first_seq;
  }

  /**
   * The session takes no more than it has received, or than lies below `end`: the rest is lost. What it has received is kept
   * until it is disposed of: a server that is restarted may want it again. Returns first and last chunk lost, if any.
   */
  close(end = 0) {
    this.#end = Math.min(this.#end ?? Infinity, Math.max(end, this.#highest));
    for (const seq of this.#again) if (seq >= this.#end) this.#again.delete(seq);
    return this.#give_up(this.#end);
  }

  /** The session is over: nothing is needed any more. Returns first and last chunk lost by this, if any. */
  free() {
    this.#end = this.next_seq;
    this.#again.clear();
    const lost = this.#give_up(this.next_seq);
    for (const chunk of [...this.#chunks.values(), ...this.#firsts.values()]) chunk.payload = null;
    this.#header = null;
    this.#bytes = 0;
    return lost;
  }

  /** First and last chunk in the buffer. */
  get bounds() {
    return this.#first < this.captured ? [this.#first, this.captured - 1] : null;
  }

  /** Chunks with audio that the server has not received, as far as is known. */
  get waiting() {
    return this.#beyond.filter((chunk) => chunk.payload !== null);
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

  get #beyond() {
    const count = Math.max(0, this.captured - this.next_seq);
    return Array.from({ length: count }, (_, index) => this.#chunks.get(this.next_seq + index));
  }

  /** Chunks from here on are not sent. */
  get #limit() {
    return Math.min(this.#end ?? this.captured, this.captured);
  }

  #wanted() {
    if (this.#again.size) return this.#chunks.get(Math.min(...this.#again));
    return this.#cursor < this.#limit ? this.#chunks.get(this.#cursor) : null;
  }

  #give_up(from_seq) {
    const lost = this.#beyond.filter((chunk) => chunk.seq >= from_seq && chunk.payload !== null);
    for (const chunk of lost) {
      this.#bytes -= sizeOf(chunk);
      chunk.payload = null;
      chunk.told = true;
    }
    return lost.length ? [lost[0].seq, lost.at(-1).seq] : null;
  }

  /** A header that is not here any more goes out as lost, so that nobody waits for it. */
  #ask_header(seq) {
    let found = [...this.#firsts.values()].find((chunk) => chunk.seq === seq) ?? null;
    if (!found && this.next_seq < this.captured) {
      const { stream } = this.#chunks.get(this.next_seq);
      found = { seq, stream, payload: null, duration_ms: 0, captured_ms: 0, crc32: 0, end_ms: 0, first: true, told: true };
    }
    this.#header = found;
  }

  /** Lets go of the first chunks of recorders that are past. */
  #forget_recorders() {
    const needed = this.#chunks.get(this.#first)?.stream ?? Math.max(0, ...this.#firsts.keys());
    for (const [stream, chunk] of this.#firsts) {
      if (stream >= needed) continue;
      this.#firsts.delete(stream);
      this.#bytes -= sizeOf(chunk);
      if (chunk === this.#header) this.#header = null;
    }
  }

  #pop_in_flight() {
    const chunk = this.#in_flight.shift();
    this.#in_flight_ms -= chunk.duration_ms;
    return chunk.seq;
  }

  #make_room(size) {
    while (this.#bytes + size > this.#max_buffer_bytes && this.#copies_from < this.next_seq) {
      const copy = this.#chunks.get(this.#copies_from++);
      if (copy.first) continue;
      this.#bytes -= sizeOf(copy);
      copy.payload = null;
    }
    return this.#bytes + size <= this.#max_buffer_bytes;
  }
}
