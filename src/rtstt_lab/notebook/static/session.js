/**
 * The page's end of a session, without a socket, a clock or a document: the twin of `protocol/client.py`, with its method
 * names and its events, so that traces of the one are replayed on the other.
 *
 * After every call drain `data_to_send` and `events`, act on both, and call `handle_timer` at `next_deadline`. `now` is a
 * monotonic time in seconds.
 */

import { LatencyTracker } from "./latency.js";
import { follow, is_ending, known_phase, reconcile, shown } from "./lifecycle.js";
import { ClientLink } from "./link.js";
import { RtsttError, decode_server_message, encode, plain } from "./messages.js";
import { Alerts, PendingControls, Text } from "./parts.js";
import { AudioSender } from "./sender.js";
import { LIMITS, MESSAGES, NEVER_RETRIED, PHASE, SETTINGS, TERMINAL } from "./tables.js";
import { ClockEstimate, earliest, to_ms } from "./timing.js";

/** An event as plain JSON, as Python's `as_json` writes it. */
export function as_json(event) {
  if (event.message) return { ...event, message: plain(event.message) };
  return event.summary ? { ...event, summary: plain(event.summary, "Summary") } : event;
}

export class ClientSession {
  phase = "idle";
  mode = "stream";
  created = null;
  summary = null;
  tracker = new LatencyTracker();
  clock = new ClockEstimate();
  #token;
  #synchronised = false;
  #epoch = null;
  #events = [];
  #out = [];
  #link;
  #audio;
  #controls = new PendingControls();
  #text = new Text(this.tracker);
  #alerts;
  #last_event = 0;
  #acked_event = 0;
  #newest_event = 0;
  #told = null;

  constructor(session_id, token, settings = {}) {
    this.session_id = session_id;
    this.settings = { ...SETTINGS, ...settings };
    this.#token = token;
    this.#link = new ClientLink(this.settings, this.#events);
    this.#audio = new AudioSender(this.settings, this.tracker);
    this.#alerts = new Alerts(this.settings, this.#events);
  }

  // --- what can be asked at any time ---

  get link() {
    return this.#link.state;
  }

  get shown() {
    return shown(this.link, this.phase);
  }

  /** What became of every transmission and chunk, as far as is known. */
  get ledger() {
    return this.#audio.ledger;
  }

  /** M1 so far; null before the first. */
  get latency() {
    return this.tracker.figures();
  }

  /** Audio that the server has not received, as far as is known. */
  get held_ms() {
    return this.#audio.held_ms;
  }

  /** Buttons that the server is not known to have applied, oldest first. */
  get pending_controls() {
    return [...this.#controls.pending];
  }

  /** Audio of the session so far, on its audio clock; also what was recorded before the page was loaded. */
  get audio_ms() {
    return this.#audio.audio_ms;
  }

  /** What the session may do; the protocol's defaults until the server has told. */
  get limits() {
    return this.created?.limits ?? LIMITS;
  }

  /** The closed segments, each once. */
  get finals() {
    return this.#text.finals;
  }

  /** The open segments' present views, by segment. */
  get partials() {
    return this.#text.partials;
  }

  /** `now` on the client's wire clock, which starts at the first connection or start. */
  clock_ms(now) {
    this.#epoch ??= now;
    return to_ms(now - this.#epoch);
  }

  // --- commands ---

  connect(now) {
    this.clock_ms(now);
    this.#link.connect(now);
    this.#tell_state();
  }

  /** Connects again at once, by hand: a new attempt of the same session, in stream mode. */
  reconnect(now) {
    if (TERMINAL.includes(this.phase)) throw new RtsttError("lifecycle", { state: this.phase, event: "reconnect" });
    this.clock_ms(now);
    this.#cut();
    const anew = this.link === "closed";
    this.#link.reconnect(now);
    this.mode = "stream";
    if (anew && this.phase === "finalizing") {
      // An attempt begins at Connecting (L1); that stop was pressed already follows from it.
      this.phase = "idle";
      this.#tell_state();
      this.phase = follow(PHASE, this.phase, "stop");
    }
    this.#tell_state();
  }

  /** Leaves the stream, by hand: audio is kept for block mode until `reconnect`. */
  use_blocks(now) {
    this.clock_ms(now);
    this.#cut();
    this.#link.close("blocks", { close: true });
    this.mode = "block";
    this.#tell_state();
  }

  /** Ends the attempt; the session itself goes on at the server until it is stopped or expires. */
  close(now) {
    this.clock_ms(now);
    this.#cut();
    this.#link.close("closed", { close: true, code: 1000 });
    this.#tell_state();
  }

  start(now) {
    this.#control("start", now);
  }

  pause(now) {
    this.#control("pause", now);
  }

  resume(now) {
    this.#control("resume", now);
  }

  stop(now) {
    this.#control("stop", now);
  }

  /** Has what was said so far settled to finals; the phase stays. */
  flush(now) {
    this.#must_capture("flush");
    this.#number_control("flush", now);
  }

  /** Takes one captured chunk and returns its number; it is kept until the server has disposed of it for good. */
  send_audio(payload, { duration_ms, captured_ms, stream, mime = null, now }) {
    this.#must_capture("send_audio");
    this.clock_ms(now);
    const [seq, reason] = this.#audio.append(payload, { duration_ms, captured_ms, stream, mime });
    if (reason) this.#tell_lost(seq, seq, reason);
    return seq;
  }

  // --- the link ---

  /** The socket asked for by OpenLink is up: hello goes out. */
  link_opened(now) {
    this.#link.socket_opened(now);
    const hello = {
      type: "client:hello",
      token: this.#token,
      last_event: this.#last_event,
      held: this.#synchronised ? this.#audio.bounds : null,
      resuming: this.#synchronised,
      attempt: this.#link.attempt,
    };
    this.#out.push(encode(hello));
  }

  /** The socket could not be opened, or is gone. */
  link_lost(reason, now, code = null) {
    if (!this.#link.in_use) return;
    if (NEVER_RETRIED.includes(code)) {
      this.#report(new RtsttError("link_refused", { code, reason }), true);
      this.#give_up(reason, false);
    } else this.#lose(reason, now, { close: false });
  }

  /** A binary frame; the server has none to send, so this one is only reported. */
  receive_bytes(frame, now) {
    this.#link.heard(now);
    this.#report(new RtsttError("frame_malformed", { reason: `${frame.length} bytes of binary data` }));
  }

  /** A text frame. What cannot be read is reported and changes nothing. */
  receive_text(frame, now) {
    if (!this.#link.in_use) return;
    this.#link.heard(now);
    try {
      this.#receive(decode_server_message(frame), now);
    } catch (error) {
      if (!(error instanceof RtsttError)) throw error;
      this.#report(error);
    }
  }

  /** What happened since the last call, oldest first. */
  events() {
    return this.#events.splice(0);
  }

  /** The frames to write now, in order: strings and Uint8Arrays. */
  data_to_send(now) {
    const data = this.#out.splice(0);
    if (this.link !== "open") return data;
    if (this.#last_event > this.#acked_event) data.push(this.#ack());
    const now_ms = this.clock_ms(now);
    for (let frame; (frame = this.#audio.next_frame(now, now_ms)); ) data.push(frame);
    return data;
  }

  /** When `handle_timer` is to be called, if nothing else happens before; null for never. */
  next_deadline() {
    return earliest(this.#link.deadline, this.#audio.deadline(), this.#alerts.deadline());
  }

  /** Does what is due by `now`; calling it early or twice does no harm. */
  handle_timer(now) {
    const due = this.#link.due(now);
    if (due === "ping") this.#ping(now);
    else if (due) this.#lose(due, now, { close: true });
    this.#audio.due(now);
    this.#alerts.due(now);
  }

  // --- what the server says ---

  #receive(message, now) {
    switch (message.type) {
      case "server:session_created":
        this.created = message;
        return this.#synchronise(message.sync, now);
      case "server:status":
        if (!message.sync) break;
        this.#synchronise(message.sync, now);
        return this.#events.push({ type: "StatusReceived", message });
      case "server:error":
        return this.#receive_error(message, now);
      case "server:ping":
        return this.#out.push(encode({ type: "client:pong", sent_ms: message.sent_ms }));
    }
    if (this.link !== "open") throw new RtsttError("lifecycle", { state: this.link, event: MESSAGES[message.type] });
    switch (message.type) {
      case "server:pong":
        this.#link.proved(now);
        return this.clock.add(message.sent_ms, message.server_ms, message.server_ms, this.clock_ms(now));
      case "server:ack":
        return this.#receive_ack(message, now);
      case "server:transcription_partial":
      case "server:metrics":
        return this.#receive_view(message, now);
      default:
        return this.#receive_numbered(message, now);
    }
  }

  #synchronise(sync, now) {
    const server = known_phase(sync.phase);
    if (this.link === "open") throw new RtsttError("lifecycle", { state: this.link, event: "sync" });
    if (!this.#synchronised) {
      this.#audio.take_numbers(sync);
      this.#controls.take_numbers(sync);
    }
    this.#synchronised = true;
    this.#token = sync.token;
    this.#newest_event = sync.last_event;
    for (const seq of this.#audio.synchronise(sync, this.limits, now)) this.#tell_lost(seq, seq, "given_up");
    const outage_s = this.#link.answered(now);
    this.#follow(server, sync.controls);
    this.#out.push(...this.#controls.frames());
    if (outage_s !== null) {
      this.#events.push({ type: "Resumed", attempt: this.#link.attempt, outage_s, next_seq: sync.next_seq });
      this.#alerts.reconnected(now);
    }
  }

  #receive_ack(ack, now) {
    this.#link.proved(now);
    this.#audio.acknowledged(ack, now);
    if (ack.seq !== null) {
      this.clock.add(ack.client_sent_ms, ack.received_ms, ack.sent_ms, this.clock_ms(now));
    }
    this.#controls.applied(ack.controls);
    this.#events.push({ type: "AckReceived", message: ack });
  }

  #receive_view(message, now) {
    if (message.type === "server:metrics") {
      this.tracker.heard(to_ms(message.heard_s));
      this.#events.push({ type: "MetricsReceived", message });
    } else {
      this.#text.show(message, now);
      this.#events.push({ type: "PartialReceived", message });
    }
    this.#alerts.latency(this.tracker.current_s(now));
  }

  #receive_numbered(message, now) {
    if (!this.#is_next(message.event, now)) return;
    switch (message.type) {
      case "server:transcription_final":
        this.#text.settle(message, now);
        this.#alerts.latency(this.tracker.current_s(now));
        this.#events.push({ type: "FinalReceived", message });
        break;
      case "server:status":
        this.#follow(known_phase(message.phase), message.controls);
        this.#events.push({ type: "StatusReceived", message });
        break;
      case "server:session_completed":
        this.tracker.finish(now);
        this.summary = message.summary;
        for (const phase of ["finalizing", "completed"]) this.#follow(phase, 0);
        this.#audio.finish(message.summary.received);
        this.#events.push({ type: "Completed", summary: message.summary });
    }
  }

  #receive_error(message, now) {
    if (!this.#is_next(message.event, now)) return;
    this.#events.push({ type: "ErrorReceived", message });
    const retry_after_s = (message.retry_after_ms ?? 0) / 1000;
    if (message.fatal && message.retryable) this.#lose(message.code, now, { close: true, retry_after_s });
    else if (message.fatal) this.#give_up(message.code, true);
    else if (retry_after_s) this.#audio.hold(now + retry_after_s);
    if (message.code === "chunk_lost") {
      const { first, last, reason } = message.parameters;
      this.#tell_lost(first, last, reason);
    }
  }

  /** Whether a message is to be applied: unnumbered, or the next number. A gap is closed by connecting again. */
  #is_next(event, now) {
    if (event > this.#last_event + 1) {
      this.#lose("event_gap", now, { close: true });
      return false;
    }
    if (event > 0 && event <= this.#last_event) return false;
    this.#last_event = event || this.#last_event;
    return true;
  }

  /** Takes the server's phase over, with the buttons that it has not applied yet. */
  #follow(server, controls) {
    this.#controls.applied(controls);
    this.phase = reconcile(this.phase, server, this.#controls.steps());
    const lost = is_ending(server) ? this.#audio.finish() : null;
    if (lost) this.#tell_lost(...lost, "session_over");
    this.#tell_state();
  }

  // --- inside ---

  #must_capture(event) {
    if (this.phase !== "recording" && this.phase !== "paused") {
      throw new RtsttError("lifecycle", { state: this.phase, event });
    }
  }

  #control(event, now) {
    const phase = follow(PHASE, this.phase, event);
    if (phase === this.phase) return;
    this.phase = phase;
    this.#number_control(event, now);
    this.#tell_state();
  }

  #number_control(action, now) {
    this.clock_ms(now);
    const control = this.#controls.press(action, this.#audio.captured);
    if (this.link === "open") this.#out.push(encode(control));
  }

  #ack() {
    this.#acked_event = this.#last_event;
    return encode({ type: "client:ack", event: this.#last_event, latency: this.latency });
  }

  #ping(now) {
    this.#out.push(encode({ type: "client:ping", sent_ms: this.clock_ms(now) }));
    this.#out.push(...this.#controls.frames(), this.#ack());
  }

  #lose(reason, now, { close, retry_after_s = 0 }) {
    this.#cut();
    if (TERMINAL.includes(this.phase) && this.#last_event >= this.#newest_event) this.#link.close(reason, { close });
    else if (!this.#link.lost(reason, now, { close, retry_after_s })) {
      this.mode = "block";
      this.#report(new RtsttError("connection_failed", { attempts: this.#link.attempt + 1, reason }));
    }
    this.#tell_state();
  }

  #give_up(reason, close) {
    this.#cut();
    this.#link.close(reason, { close });
    this.#tell_state();
  }

  #cut() {
    this.#out.length = 0;
    this.#audio.link_lost();
  }

  /** An error of this side, in the form of the server's; the reader's catalogue has its text. */
  #report({ key, parameters }, fatal = false) {
    const rest = { retryable: false, retry_after_ms: null, seq: null, event: 0 };
    const message = { type: "server:error", code: key, message: "", parameters, fatal, ...rest };
    this.#events.push({ type: "ErrorReceived", message });
  }

  #tell_lost(first, last, reason) {
    this.#events.push({ type: "ChunksLost", first, last, reason });
  }

  #state() {
    return { shown: this.shown, link: this.link, phase: this.phase, mode: this.mode };
  }

  #tell_state() {
    const state = this.#state();
    if (JSON.stringify(state) === JSON.stringify(this.#told)) return;
    this.#told = state;
    this.#events.push({ type: "StateChanged", ...state });
  }
}
