/** What a session keeps: buttons not yet applied, the text so far, alerts. Twin of `protocol/client_parts.py`. */

import { encode } from "./messages.js";
import { Counter } from "./timing.js";

/** Buttons from their pressing until the server has applied them. */
export class PendingControls {
  pending = [];
  #made = 0;
  #stop = null;

  /** The chunks below this one came before the stop that the server has applied; 0 if it has not. */
  get stopped_at() {
    return this.#stop && !this.pending.includes(this.#stop) ? this.#stop.at_seq : 0;
  }

  /** Numbers a button. */
  press(action, at_seq) {
    const control = { type: "client:control", action, n: ++this.#made, at_seq };
    this.pending.push(control);
    this.#keep_stop();
    return control;
  }

  /** The server's numbering stands elsewhere: moves those pressed before that was known. */
  take_numbers({ controls, next_seq }) {
    this.#made += controls;
    this.pending = this.pending.map((control) => ({
      ...control,
      n: control.n + controls,
      at_seq: control.at_seq + next_seq,
    }));
    this.#keep_stop();
  }

  /** The server has applied those up to `n`. */
  applied(n) {
    this.pending = this.pending.filter((control) => control.n > n);
  }

  /** What they will do to the phase. */
  steps() {
    return this.pending.map((control) => control.action).filter((action) => action !== "flush");
  }

  /** All of them, to be sent again. */
  frames() {
    return this.pending.map(encode);
  }

  #keep_stop() {
    this.#stop = this.pending.find((control) => control.action === "stop") ?? null;
  }
}

/** Partials and finals as they stand. */
export class Text {
  finals = [];
  partials = new Map();
  #tracker;

  constructor(tracker) {
    this.#tracker = tracker;
  }

  /** A partial replaces its segment's earlier one. */
  show(partial, now) {
    this.partials.set(partial.segment, partial);
    this.#tracker.result(partial.audio_end_ms, partial.words, now);
  }

  /** A final closes its segment, and with it those before it. */
  settle(final, now) {
    this.finals.push(final);
    for (const segment of this.partials.keys()) if (segment <= final.segment) this.partials.delete(segment);
    this.#tracker.result(final.audio_end_ms, final.words, now);
  }
}

/** Latency above the limit (A1), and reconnections in a row (A3). */
export class Alerts {
  #settings;
  #events;
  #on = new Set();
  #reconnections;

  constructor(settings, events) {
    this.#settings = settings;
    this.#events = events;
    this.#reconnections = new Counter(settings.reconnections_alert, settings.reconnections_window_s);
  }

  /** The latency of this moment: on above the limit, off again below the goal. */
  latency(latency_s) {
    if (latency_s > this.#settings.latency_alert_s) this.#switch("latency", true, latency_s);
    else if (latency_s < this.#settings.latency_goal_s) this.#switch("latency", false, latency_s);
  }

  /** The link came back once more. */
  reconnected(now) {
    if (this.#reconnections.add(now)) this.#switch("reconnections", true, this.#settings.reconnections_alert);
  }

  /** When `due` switches an alert off. */
  deadline() {
    return this.#on.has("reconnections") ? this.#reconnections.free_at() : null;
  }

  /** Switches off what time has healed. */
  due(now) {
    if (!this.#reconnections.full(now)) this.#switch("reconnections", false, 0);
  }

  #switch(name, on, value) {
    if (on === this.#on.has(name)) return;
    if (on) this.#on.add(name);
    else this.#on.delete(name);
    this.#events.push({ type: on ? "AlertRaised" : "AlertCleared", name, value });
  }
}
