/**
 * The page's end of a session, without a socket, a clock or a document: the twin of `protocol/client.py`, with its method
 * names and its events, so that traces of the one are replayed on the other.
 *
 * After every call drain `data_to_send` and `events`, act on both, and call `handle_timer` at `next_deadline`. `now` is a
 * monotonic time in seconds.
 */

import { encode_block, sync_of } from "./blocks.js";
import { ClientCommands } from "./commands.js";
import { is_ending, is_recorded, known_phase, reconcile } from "./lifecycle.js";
import { RtsttError, decode_lost, decode_receipt, decode_server_message, encode, plain } from "./messages.js";
import { MESSAGES, NEVER_RETRIED, TERMINAL } from "./tables.js";
import { earliest, to_ms } from "./timing.js";

/** Refusals of a block after which none is tried. */
export const NO_BLOCKS = ["authentication", "origin_refused", "session_unknown", "session_no_uuid"];

/** An event as plain JSON, as Python's `as_json` writes it; only bodies stay as they are. */
export function as_json(event) {
  if (event.receipt) return { ...event, receipt: plain(event.receipt, "BlockReceipt") };
  if (event.message) return { ...event, message: plain(event.message) };
  return event.summary ? { ...event, summary: plain(event.summary, "Summary") } : event;
}

/** One client's end of one session: its link, and what the server says. */
export class ClientSession extends ClientCommands {
  // --- the link ---

  /** The socket asked for by OpenLink is up: hello goes out. */
  link_opened(now) {
    this._link.socket_opened(now);
    const hello = {
      type: "client:hello",
      token: this._token,
      last_event: this._last_event,
      held: this._audio.bounds,
      resuming: this._synchronised,
      attempt: this._link.attempt,
    };
    this._out.push(encode(hello));
  }

  /** The socket could not be opened, or is gone. */
  link_lost(reason, now, code = null) {
    if (!this._link.in_use) return;
    if (NEVER_RETRIED.includes(code)) {
      this._report(new RtsttError("link_refused", { code, reason }), true);
      this._give_up(reason, false);
    } else this._lose(reason, now, { close: false });
  }

  /** A binary frame; the server has none to send, so this one is only reported. */
  receive_bytes(frame, now) {
    this._link.heard(now);
    this._report(new RtsttError("frame_malformed", { reason: `${frame.length} bytes of binary data` }));
  }

  /** A text frame. What cannot be read is reported and changes nothing. */
  receive_text(frame, now) {
    if (!this._link.in_use) return;
    this._link.heard(now);
    try {
      this._receive(decode_server_message(frame), now);
    } catch (error) {
      if (!(error instanceof RtsttError)) throw error;
      this._report(error);
    }
  }

  /** The server's answer to a SendBlock, as it came; one that is not waited for any more changes nothing. */
  block_answered(block, receipt, now) {
    if (!this._blocks.awaits(block)) return;
    try {
      this._receive_receipt(block, decode_receipt(receipt), now);
    } catch (error) {
      if (!(error instanceof RtsttError)) throw error;
      this.block_failed(block, error.parameters.reason, now);
    }
  }

  /** A SendBlock got no answer, or a refusal; `code`: by the server itself. */
  block_failed(block, reason, now, { retry_after_s = 0, code = null } = {}) {
    if (!this._blocks.awaits(block)) return;
    if (this._is_over()) this._blocks.leave();
    else if (NO_BLOCKS.includes(code)) this._give_blocks_up(reason);
    else this._blocks.failed(reason, now, retry_after_s);
  }

  /** What happened since the last call, oldest first. */
  events() {
    return this._events.splice(0);
  }

  /** The frames to write now, in order: strings and Uint8Arrays. */
  data_to_send(now) {
    const data = this._out.splice(0);
    if (this.link !== "open") return data;
    if (this._last_event > this._acked_event) data.push(this._ack());
    const now_ms = this.clock_ms(now);
    for (let frame; (frame = this._audio.next_frame(now, now_ms)); ) data.push(frame);
    return data;
  }

  /** When `handle_timer` is to be called, if nothing else happens before; null for never. */
  next_deadline() {
    return earliest(this._link.deadline, this._audio.deadline(), this._alerts.deadline(), this._blocks.deadline);
  }

  /** Does what is due by `now`; calling it early or twice does no harm. */
  handle_timer(now) {
    const due = this._link.due(now);
    if (due === "ping") this._ping(now);
    else if (due) this._lose(due, now, { close: true });
    switch (this._blocks.due(now)) {
      case "send":
        this._send_block(now);
        break;
      case "timeout":
        this.block_failed(this._blocks.number, "timeout", now);
        break;
      case "give_up":
        this._give_blocks_up(this._blocks.reason);
        break;
      case "try_link":
        if (this.link !== "closed" || !is_recorded(this.phase)) break;
        this._link.try_again(now);
        this._tell_state();
    }
    this._audio.due(now);
    this._alerts.due(now);
  }

  // --- what the server says ---

  _receive(message, now) {
    switch (message.type) {
      case "server:session_created":
        this.created = message;
        return this._synchronise(message.sync, now);
      case "server:status":
        if (!message.sync) break;
        this._synchronise(message.sync, now);
        return this._events.push({ type: "StatusReceived", message });
      case "server:error":
        return this._receive_numbered(message, now);
      case "server:ping":
        return this._out.push(encode({ type: "client:pong", sent_ms: message.sent_ms }));
    }
    if (this.link !== "open") return this._receive_outcome(message, now);
    switch (message.type) {
      case "server:pong":
        this._link.proved(now);
        return this.clock.add(message.sent_ms, message.server_ms, message.server_ms, this.clock_ms(now));
      case "server:ack":
        return this._receive_ack(message, now);
      case "server:transcription_partial":
      case "server:metrics":
        return this._receive_view(message, now);
      default:
        return this._receive_numbered(message, now);
    }
  }

  _synchronise(sync, now) {
    const server = known_phase(sync.phase);
    if (this.link === "open") throw new RtsttError("lifecycle", { state: this.link, event: "sync" });
    this._adopt(sync);
    this._blocks.leave();
    this.mode = "stream";
    const outage_s = this._link.answered(now);
    this._audio.link_opened(this.limits, now);
    this._follow(server, sync.controls);
    this._out.push(...this._controls.frames());
    if (outage_s !== null) {
      this._events.push({ type: "Resumed", attempt: this._link.attempt, outage_s, next_seq: sync.next_seq });
      this._alerts.reconnected(now);
    }
  }

  /** Goes on from where the server stands. */
  _adopt(sync) {
    if (!this._synchronised) {
      this._audio.take_numbers(sync);
      this._controls.take_numbers(sync);
    }
    this._synchronised = true;
    this._token = sync.token;
    this._newest_event = sync.last_event;
    this._last_event = Math.min(this._last_event, sync.last_event);
    for (const seq of this._audio.synchronise(sync, this.limits)) this._tell_lost(seq, seq, "given_up");
  }

  _receive_receipt(block, receipt, now) {
    const server = known_phase(receipt.phase);
    const { next_seq: wanted } = this._audio;
    const known = this._last_event;
    const anew = !this._blocks.synchronised;
    this._adopt(sync_of(receipt, this._token));
    this._events.push({ type: "BlockReceived", block, receipt });
    for (const message of receipt.events) {
      if (message.event !== this._last_event + 1 && message.type !== "server:session_completed") continue;
      this._last_event = message.event;
      this._apply(message, now);
    }
    for (const { code, message, seq } of receipt.rejected) {
      const rest = { parameters: {}, fatal: false, retry_after_ms: null, event: 0 };
      this._apply({ type: "server:error", code, message, retryable: true, seq, ...rest }, now);
    }
    this._follow(server, receipt.ack.controls);
    if (this._is_over() && known === this._last_event) this._blocks.leave(); // that was told, too
    if (!this._blocks.active) return;
    const progress = anew || this._audio.next_seq > wanted;
    this._blocks.answered(now, { at_once: this._last_event > known || (progress && this._audio.may_send) });
  }

  /** The session ended while this client was away: what is left of it says how, and nothing else. */
  _receive_outcome(message, now) {
    if (message.type !== "server:session_completed") {
      throw new RtsttError("lifecycle", { state: this.link, event: MESSAGES[message.type] });
    }
    this._link.answered(now);
    this._last_event = this._newest_event = message.event;
    this._apply(message, now);
  }

  _receive_ack(ack, now) {
    this._link.proved(now);
    this._audio.acknowledged(ack, now);
    if (ack.seq !== null) {
      this.clock.add(ack.client_sent_ms, ack.received_ms, ack.sent_ms, this.clock_ms(now));
    }
    this._controls.applied(ack.controls);
    this._events.push({ type: "AckReceived", message: ack });
  }

  _receive_view(message, now) {
    if (message.type === "server:metrics") {
      this.tracker.heard(to_ms(message.heard_s));
      this._events.push({ type: "MetricsReceived", message });
    } else {
      this._text.show(message, now);
      this._events.push({ type: "PartialReceived", message });
    }
    this._alerts.latency(this.tracker.current_s(now));
  }

  _receive_numbered(message, now) {
    if (this._is_next(message.event, now)) this._apply(message, now);
  }

  _apply(message, now) {
    switch (message.type) {
      case "server:error":
        return this._apply_error(message, now);
      case "server:transcription_final":
        this._text.settle(message, now);
        this._alerts.latency(this.tracker.current_s(now));
        this._events.push({ type: "FinalReceived", message });
        break;
      case "server:status":
        this._follow(known_phase(message.phase), message.controls);
        this._events.push({ type: "StatusReceived", message });
        break;
      case "server:session_completed":
        this.tracker.finish(now);
        this.summary = message.summary;
        for (const phase of ["finalizing", "completed"]) this._follow(phase, 0);
        this._tell_over(this._audio.finish(message.summary.received));
        this._events.push({ type: "Completed", summary: message.summary });
    }
  }

  _apply_error(message, now) {
    this._events.push({ type: "ErrorReceived", message });
    const retry_after_s = (message.retry_after_ms ?? 0) / 1000;
    if (message.fatal && message.retryable) this._lose(message.code, now, { close: true, retry_after_s });
    else if (message.fatal) this._give_up(message.code, true);
    else if (retry_after_s) this._audio.hold(now + retry_after_s);
    if (message.code === "chunk_after_stop" && message.seq !== null) this._tell_over(this._audio.close(message.seq));
    if (message.code === "chunk_lost") {
      const { first, last, reason } = decode_lost(message);
      this._tell_lost(first, last, reason);
    }
  }

  /** Whether a message is to be applied: unnumbered, or the next number. A gap is closed by connecting again. */
  _is_next(event, now) {
    if (event > this._last_event + 1) {
      this._lose("event_gap", now, { close: true });
      return false;
    }
    if (event > 0 && event <= this._last_event) return false;
    this._last_event = event || this._last_event;
    return true;
  }

  /** Takes the server's phase over, with the buttons that it has not applied yet. */
  _follow(server, controls) {
    this._controls.applied(controls);
    const phase = reconcile(this.phase, server, this._controls.steps());
    // What blocks have brought to its end is an attempt of its own (L1).
    if (phase === "completed" && this.phase !== "completed" && this.link === "closed") this._begin_attempt();
    this.phase = phase;
    if (is_ending(server)) this._tell_over(this._audio.close(this._controls.stopped_at));
    this._tell_state();
    if (phase === "completed" && this._blocks.active && this.link !== "closed") {
      this._link.close("completed", { close: true });
      this._tell_state();
    }
  }

  _tell_over(lost) {
    if (lost) this._tell_lost(...lost, "session_over");
  }

  // --- inside ---

  _ack() {
    this._acked_event = this._last_event;
    return encode({ type: "client:ack", event: this._last_event, latency: this.latency });
  }

  _ping(now) {
    this._out.push(encode({ type: "client:ping", sent_ms: this.clock_ms(now) }));
    this._out.push(...this._controls.frames(), this._ack());
  }

  /** The next block; before the server has said where it stands, nothing but the question. */
  _send_block(now) {
    const max_bytes = Math.min(this._blocks.max_bytes, Math.floor(this.limits.max_block_bytes / 2));
    const frames = this._blocks.synchronised ? this._audio.block(now, this.clock_ms(now), max_bytes) : [];
    const buttons = this._synchronised ? this._controls.pending : [];
    const { latency } = this;
    const figures = latency ? [{ type: "client:ack", event: this._last_event, latency }] : [];
    this._acked_event = this._last_event;
    this._events.push({
      type: "SendBlock",
      block: this._blocks.sent(now),
      body: encode_block([...buttons, ...figures], frames),
      after: this._last_event,
      new: !this._synchronised,
      token: this._token,
    });
  }

  /** Whether the session has ended and all that was said of it is here. */
  _is_over() {
    return TERMINAL.includes(this.phase) && this._last_event >= this._newest_event;
  }

  _lose(reason, now, { close, retry_after_s = 0 }) {
    this._cut();
    if (this._is_over()) this._link.close(reason, { close });
    else if (!this._link.lost(reason, now, { close, retry_after_s })) {
      if (this._blocks.active) this._blocks.link_failed(now);
      else {
        this.mode = "block";
        this._blocks.enter(now, { tries_link: true });
        this._report(new RtsttError("connection_failed", { attempts: this._link.attempt + 1, reason }));
      }
    }
    this._tell_state();
  }

  _give_blocks_up(reason) {
    this._report(new RtsttError("blocks_refused", { reason }), true);
    this._give_up("blocks_refused", true);
  }

  _give_up(reason, close) {
    this._cut();
    this._blocks.leave();
    this._link.close(reason, { close });
    this._tell_state();
  }
}
