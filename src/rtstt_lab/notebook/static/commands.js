/** What a person can ask of a session, and what it knows. Twin of `protocol/client_commands.py`. */

import { BlockPace } from "./blocks.js";
import { LatencyTracker } from "./latency.js";
import { follow, shown } from "./lifecycle.js";
import { ClientLink } from "./link.js";
import { RtsttError, encode } from "./messages.js";
import { Alerts, PendingControls, Text } from "./parts.js";
import { AudioSender } from "./sender.js";
import { LIMITS, PHASE, SETTINGS, TERMINAL } from "./tables.js";
import { ClockEstimate, to_ms } from "./timing.js";

/** One client's view of one session, and its buttons. Names that begin with _ are for `ClientSession` only. */
export class ClientCommands {
  phase = "idle";
  mode = "stream";
  created = null;
  summary = null;
  tracker = new LatencyTracker();
  clock = new ClockEstimate();
  _token;
  _synchronised = false;
  _epoch = null;
  _events = [];
  _out = [];
  _link;
  _blocks;
  _audio;
  _controls = new PendingControls();
  _text = new Text(this.tracker);
  _alerts;
  _last_event = 0;
  _acked_event = 0;
  _newest_event = 0;
  _told = null;

  constructor(session_id, token, settings = {}) {
    this.session_id = session_id;
    this.settings = { ...SETTINGS, ...settings };
    this._token = token;
    this._link = new ClientLink(this.settings, this._events);
    this._blocks = new BlockPace(this.settings);
    this._audio = new AudioSender(this.settings, this.tracker);
    this._alerts = new Alerts(this.settings, this._events);
  }

  // --- what can be asked at any time ---

  get link() {
    return this._link.state;
  }

  /** Whether there is no link, and nothing goes in blocks: only `reconnect` or `use_blocks` goes on. */
  get given_up() {
    return this.link === "closed" && !this._blocks.active;
  }

  get shown() {
    return shown(this.link, this.phase);
  }

  /** What became of every transmission and chunk, as far as is known. */
  get ledger() {
    return this._audio.ledger;
  }

  /** M1 so far; null before the first. */
  get latency() {
    return this.tracker.figures();
  }

  /** Audio that the server has not received, as far as is known. */
  get held_ms() {
    return this._audio.held_ms;
  }

  /** Buttons that the server is not known to have applied, oldest first. */
  get pending_controls() {
    return [...this._controls.pending];
  }

  /** Audio of the session so far, on its audio clock; also what was recorded before the page was loaded. */
  get audio_ms() {
    return this._audio.audio_ms;
  }

  /** What the session may do; the protocol's defaults until the server has told. */
  get limits() {
    return this.created?.limits ?? LIMITS;
  }

  /** The closed segments, each once. */
  get finals() {
    return this._text.finals;
  }

  /** The open segments' present views, by segment. */
  get partials() {
    return this._text.partials;
  }

  /** `now` on the client's wire clock, which starts at the first connection or start. */
  clock_ms(now) {
    this._epoch ??= now;
    return to_ms(now - this._epoch);
  }

  // --- commands ---

  connect(now) {
    this.clock_ms(now);
    this._link.connect(now);
    this._tell_state();
  }

  /** Connects again at once, by hand: a new attempt of the same session, in stream mode. */
  reconnect(now) {
    if (TERMINAL.includes(this.phase)) throw new RtsttError("lifecycle", { state: this.phase, event: "reconnect" });
    this.clock_ms(now);
    this._cut();
    this._blocks.leave();
    this.mode = "stream";
    if (this.link === "closed") this._begin_attempt();
    this._link.reconnect(now);
    this._tell_state();
  }

  /** Leaves the stream, by hand: audio goes in blocks until `reconnect`. */
  use_blocks(now) {
    if (TERMINAL.includes(this.phase)) throw new RtsttError("lifecycle", { state: this.phase, event: "use_blocks" });
    this.clock_ms(now);
    this._cut();
    this._link.close("blocks", { close: true });
    this.mode = "block";
    this._blocks.enter(now, { tries_link: false });
    this._tell_state();
  }

  /** Ends the attempt; the session itself goes on at the server until it is stopped or expires. */
  close(now) {
    this.clock_ms(now);
    this._cut();
    this._blocks.leave();
    this._link.close("closed", { close: true, code: 1000 });
    this._tell_state();
  }

  start(now) {
    this._control("start", now);
  }

  pause(now) {
    this._control("pause", now);
  }

  resume(now) {
    this._control("resume", now);
  }

  stop(now) {
    this._control("stop", now);
  }

  /** Has what was said so far settled to finals; the phase stays. */
  flush(now) {
    this._must_capture("flush");
    this._number_control("flush", now);
  }

  /** Takes one captured chunk and returns its number; it is kept until the server has disposed of it for good. */
  send_audio(payload, { duration_ms, captured_ms, stream, mime = null, now }) {
    this._must_capture("send_audio");
    this.clock_ms(now);
    const [seq, reason] = this._audio.append(payload, { duration_ms, captured_ms, stream, mime });
    if (reason) this._tell_lost(seq, seq, reason);
    return seq;
  }

  // --- for both halves ---

  _must_capture(event) {
    if (this.phase !== "recording" && this.phase !== "paused") {
      throw new RtsttError("lifecycle", { state: this.phase, event });
    }
  }

  _control(event, now) {
    const phase = follow(PHASE, this.phase, event);
    if (phase === this.phase) return;
    this.phase = phase;
    this._number_control(event, now);
    this._tell_state();
  }

  _number_control(action, now) {
    this.clock_ms(now);
    const control = this._controls.press(action, this._audio.captured);
    this._blocks.hasten(now);
    if (this.link === "open") this._out.push(encode(control));
  }

  /** A new attempt begins at Connecting (L1), whatever was pressed already. */
  _begin_attempt() {
    this._link.begin_anew();
    const phase = this.phase;
    this.phase = "idle";
    this._tell_state();
    this.phase = phase;
  }

  _cut() {
    this._out.length = 0;
    this._audio.link_lost();
  }

  /** An error of this side, in the form of the server's; the reader's catalogue has its text. */
  _report({ key, parameters }, fatal = false) {
    const rest = { retryable: false, retry_after_ms: null, seq: null, event: 0 };
    const message = { type: "server:error", code: key, message: "", parameters, fatal, ...rest };
    this._events.push({ type: "ErrorReceived", message });
  }

  _tell_lost(first, last, reason) {
    this._events.push({ type: "ChunksLost", first, last, reason });
  }

  _state() {
    return { shown: this.shown, link: this.link, phase: this.phase, mode: this.mode };
  }

  _tell_state() {
    const state = this._state();
    if (JSON.stringify(state) === JSON.stringify(this._told)) return;
    this._told = state;
    this._events.push({ type: "StateChanged", ...state });
  }
}
