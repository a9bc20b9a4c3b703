/** The client's sending of audio: numbering, credit, pace, repetition, the ledger. Twin of `protocol/sender.py`. */

import { RtsttError, encode_audio } from "./messages.js";
import { MAX_CHUNK_BYTES, MAX_DURATION_MS } from "./tables.js";
import { TokenBucket, earliest } from "./timing.js";
import { SendWindow } from "./windows.js";

export class AudioSender {
  #settings;
  #tracker;
  #window;
  #received = {};
  #transmitted = 0;
  #first_stream = 0;
  #mimes = new Map();
  #mimes_told = new Map();
  #pace = null;
  #hold_until = 0;
  #progress_at = 0;

  constructor(settings, tracker) {
    this.#settings = settings;
    this.#tracker = tracker;
    this.#window = new SendWindow(settings.max_buffer_bytes, settings.max_in_flight, MAX_CHUNK_BYTES);
  }

  /** The number that the next chunk gets. */
  get captured() {
    return this.#window.captured;
  }

  /** The first chunk that the server has not received, as far as is known. */
  get next_seq() {
    return this.#window.next_seq;
  }

  /** Whether there is audio to send, and room for it at the server. */
  get may_send() {
    return this.#window.block(0).length > 0;
  }

  /** First and last chunk in the buffer; null if it is empty. */
  get bounds() {
    return this.#window.bounds;
  }

  /** Audio that the server has not received, as far as is known. */
  get held_ms() {
    return this.#window.waiting.reduce((sum, chunk) => sum + chunk.duration_ms, 0);
  }

  /** Audio of the session so far, on its audio clock. */
  get audio_ms() {
    return this.#window.audio_ms;
  }

  get ledger() {
    return this.#window.ledger(this.#transmitted, this.#received);
  }

  /** Numbers a chunk and keeps it; returns its number, and why it is lost already if it is. */
  append(payload, { duration_ms, captured_ms, stream, mime }) {
    if (!(duration_ms >= 0 && duration_ms <= MAX_DURATION_MS)) {
      throw new RtsttError("chunk_duration", { duration_ms, limit_ms: MAX_DURATION_MS });
    }
    const numbered = stream + this.#first_stream;
    if (mime !== null) this.#mimes.set(numbered, mime);
    return this.#window.append(payload, { duration_ms, captured_ms: Math.max(0, captured_ms), stream: numbered });
  }

  /** This client is new to a session that may be further on: its numbers, and its ledger, begin where the server's end. */
  take_numbers({ next_seq, next_stream, audio_ms, received }) {
    this.#transmitted += received.accepted + received.duplicate + received.rejected;
    this.#window.rebase(next_seq, next_stream, audio_ms);
    this.#first_stream = next_stream;
    this.#mimes = new Map([...this.#mimes].map(([stream, mime]) => [stream + next_stream, mime]));
  }

  /** The server has said where it stands: starts again at the chunk it wants; returns those it wants that were given up. */
  synchronise(sync, limits) {
    this.#received = sync.received;
    const given_up = this.#window.synchronise(sync.next_seq, sync.header_seq, sync.end_seq);
    this.#window.advance(sync.next_seq, sync.committed_seq, sync.resume_seq);
    this.#window.credit_ms = sync.credit_ms;
    this.#window.max_chunk_bytes = limits.max_chunk_bytes;
    this.#mimes_told.clear();
    return given_up;
  }

  /** A link is open, and synchronised: what is held may go at once, and be told that is given up. */
  link_opened(limits, now) {
    this.#progress_at = now;
    this.#pace = new TokenBucket(limits.max_chunks_per_s, limits.max_chunks_per_s, now);
    this.#pace.grant(this.#window.captured - this.#window.next_seq, now);
  }

  /** The server answered a frame, or told its marks. */
  acknowledged(ack, now) {
    if (ack.next_seq > this.#window.next_seq) this.#progress_at = now;
    this.#received = ack.received;
    this.#window.advance(ack.next_seq, ack.committed_seq, ack.resume_seq);
    this.#window.credit_ms = ack.credit_ms;
    this.#window.answered(ack.seq, ack.missing);
  }

  /** The server asked to wait. */
  hold(until) {
    this.#hold_until = Math.max(this.#hold_until, until);
  }

  /** What was on its way is cut. */
  link_lost() {
    this.#window.link_lost();
    this.#pace = null;
  }

  /** The session takes no more than it has received, or lies below `end`; returns first and last chunk lost, if any. */
  close(end) {
    return this.#window.close(end);
  }

  /** The session is over, and this is the server's half of the ledger; returns first and last chunk lost, if any. */
  finish(received) {
    this.#received = received;
    this.#window.advance(received.accepted + received.lost, 0, 0);
    return this.#window.free();
  }

  /** The next audio frame that may go out at `now` (`now_ms` on the wire clock), counted as sent; null if none may. */
  next_frame(now, now_ms) {
    const chunk = this.#window.to_send();
    if (!chunk || now < this.#hold_until || !this.#pace?.take(now)) return null;
    if (!this.#window.unanswered) this.#progress_at = now;
    const frame = this.#frame(chunk, now, now_ms);
    this.#window.sent(chunk);
    return frame;
  }

  /** The frames of one block of so many bytes of audio, counted as sent; its receipt says what is wanted then. */
  block(now, now_ms, max_bytes) {
    this.#mimes_told.clear();
    if (now < this.#hold_until) return [];
    return this.#window.block(max_bytes).map((chunk) => this.#frame(chunk, now, now_ms));
  }

  /** When `next_frame` or `due` has something to do, if a link is open. */
  deadline() {
    if (this.#pace === null) return null;
    const resend_at = this.#window.unanswered ? this.#progress_at + this.#settings.resend_s : null;
    const pace_at = this.#window.to_send() ? Math.max(this.#pace.ready_at(), this.#hold_until) : null;
    return earliest(resend_at, pace_at);
  }

  /** Sends the oldest chunk again whose answer is long overdue. */
  due(now) {
    if (this.#pace === null || !this.#window.unanswered) return;
    if (now < this.#progress_at + this.#settings.resend_s) return;
    this.#window.ask_oldest();
    this.#progress_at = now;
  }

  #frame(chunk, now, now_ms) {
    const { seq, stream, payload, crc32, duration_ms, captured_ms, end_ms } = chunk;
    this.#transmitted += 1;
    this.#tracker.sent(seq, { duration_ms, end_ms, now });
    if (!this.#mimes_told.has(stream)) this.#mimes_told.set(stream, seq);
    const tells = this.#mimes_told.get(stream) === seq; // each time that it is sent
    const mime = tells ? (this.#mimes.get(stream) ?? null) : null;
    const bytes = payload?.length ?? 0;
    const facts = { seq, stream, bytes, crc32, duration_ms, captured_ms, sent_ms: now_ms };
    const header = { type: "client:audio_chunk", ...facts, mime, lost: payload === null, header: this.#window.is_header(chunk) };
    return encode_audio(header, payload ?? new Uint8Array());
  }
}
