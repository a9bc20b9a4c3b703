/** The widget: microphone → recorder → session → socket, and back to the page. What to do is session.js's affair. */

import { CATALOGUES } from "./catalogues.js";
import { openStream, problemOf } from "./microphone.js";
import { Mirror } from "./mirror.js";
import { BlockPost, blockAddresses } from "./posting.js";
import { Recorder } from "./recorder.js";
import { ClientSession } from "./session.js";
import { MAX_DURATION_MS, PROTOCOL } from "./tables.js";
import { translator } from "./texts.js";
import { Transport, addresses, pageBaseUrl, pageOrigin } from "./transport.js";
import { View } from "./view.js";

const METER_MS = 100;
const UNSEEN_MS = 5000;
const PATIENCE_MS = 1000;
const SILENT_DBFS = -90;
const SILENT_AFTER_S = 3;
const MAX_TIMER_MS = 2 ** 31 - 1;

const NOTHING = {
  session_id: null,
  shown: "connecting",
  phase: "idle",
  mode: "stream",
  given_up: false,
  audio_ms: 0,
  latency: null,
  finals: [],
  partials: new Map(),
  summary: null,
};

const now = () => performance.now() / 1000;

/** What is over is not completed as long as its last words are still to come. */
const shownOf = ({ shown, summary, given_up }) => (shown === "completed" && !summary && !given_up ? "finalizing" : shown);

class Capture {
  #model;
  #session = null;
  #past = null;
  #transport = null;
  #post = null;
  #recorder = null;
  #playable = null;
  #mirror;
  #timer = null;
  #meter = null;
  #watchers = new Set();
  #alerts = new Map();
  #streams = 0;
  #levelDbfs = null;
  #awaited = null;
  #patience = null;
  #soundAt = 0;
  #problem = null;
  #notice = null;
  #exposed = false;
  #busy = true;
  #ending = false;

  #actions = {
    start: () => this.#record((session) => session.start(now())),
    resume: () => this.#record((session) => session.resume(now())),
    pause: async () => {
      await this.#recorder?.pause();
      this.#playable?.set("playing", false);
      this.#session.pause(now());
    },
    stop: async () => {
      await this.#endRecording();
      this.#session.stop(now());
    },
    reconnect: () => this.#session.reconnect(now()),
    blocks: () => this.#session.use_blocks(now()),
    renew: () => this.#ask("renew"),
    retry: () => this.#ask(this.#session ? "stream" : "access"),
  };

  constructor(model) {
    this.#model = model;
    this.#mirror = new Mirror((message) => model.send(message));
    model.on("msg:custom", (message) => this.#heard(message));
    model.on("change:ui_language", () => this.#changed());
    this.#ask("access");
  }

  /** Calls `watcher` with the view, now and after each change, until the returned function is called. */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this.#view());
    return () => {
      this.#watchers.delete(watcher);
      setTimeout(() => this.#mindTheUnseen(), UNSEEN_MS);
    };
  }

  /** A button; the others wait until the microphone has opened, or its last chunk is here. */
  async act(name) {
    if (this.#busy) return;
    this.#busy = true;
    this.#changed();
    try {
      await this.#actions[name]();
    } catch (error) {
      this.#problem = problemOf(error);
    }
    if (name !== "renew" && name !== "retry") this.#busy = false; // those two are answered by Python
    this.#pump();
  }

  /** The recorder's last chunk goes to the server, too; the session goes on there unless Python has said that it is over. */
  async close() {
    this.#waitFor(null);
    this.#watchers.clear();
    await this.#endRecording();
    if (this.#session) {
      if (this.#ending && this.#capturing) this.#pump(this.#session.stop(now()));
      this.#pump(this.#session.close(now()));
    }
    clearTimeout(this.#timer);
    this.#mirror.close();
    this.#post?.drop();
  }

  // --- Python's side of the widget ---

  #ask(type) {
    this.#problem = null;
    this.#waitFor("starting");
    this.#model.send({ type, origin: pageOrigin(location) });
  }

  async #heard(message) {
    if (message.type === "ending") {
      this.#ending = true; // the widget is closed next
      return;
    }
    this.#waitFor(null);
    if (message.type === "access") await this.#begin(message);
    if (message.type === "finished") this.#remember(message);
    if (message.type === "problem") this.#refused(message);
    this.#busy = false;
    this.#pump();
  }

  #remember(told) {
    this.#past = { ...NOTHING, shown: "completed", phase: "completed", ...told };
  }

  #refused({ key, parameters }) {
    const told = { key: `errors.${key}`, parameters };
    if (this.#session) this.#notice = told;
    else this.#problem = told;
  }

  /** Takes up a session: a new one, or the present one on a page that was loaded again. */
  async #begin({ session_id, token, port, path, exposed }) {
    await this.#endRecording();
    clearTimeout(this.#timer);
    this.#transport?.close(1000, "another session");
    this.#post?.drop();
    this.#mirror.reset();
    this.#alerts.clear();
    this.#streams = 0;
    this.#problem = this.#notice = null;
    this.#exposed = exposed;
    const session = (this.#session = new ClientSession(session_id, token));
    const ways = addresses({ port, path }, location, pageBaseUrl(document));
    this.#post = new BlockPost(blockAddresses(ways), (block, { receipt, reason, ...refusal }) => {
      if (receipt) this.#pump(session.block_answered(block, receipt, now()));
      else this.#pump(session.block_failed(block, reason, now(), refusal));
    });
    this.#transport = new Transport(ways, PROTOCOL, {
      opened: () => this.#pump(session.link_opened(now())),
      text: (frame) => this.#pump(session.receive_text(frame, now())),
      lost: (reason, code) => this.#pump(session.link_lost(reason, now(), code)),
    });
    session.connect(now());
  }

  // --- the session ---

  /** After every call to the session: write its frames, act on its events, arm its timer, draw. */
  #pump() {
    if (this.#session) {
      this.#drain();
      this.#arm();
      this.#mirror.update(() => this.#reflection());
    }
    this.#changed();
  }

  /** Frames go before events: what is to be sent is written before a CloseLink is obeyed. */
  #drain() {
    for (;;) {
      const frames = this.#session.data_to_send(now());
      const events = this.#session.events();
      if (frames.length + events.length === 0) return;
      for (const frame of frames) this.#transport.send(frame);
      for (const event of events) this.#follow(event);
    }
  }

  #arm() {
    const session = this.#session;
    clearTimeout(this.#timer);
    const deadline = session.next_deadline();
    if (deadline === null) return;
    const waitMs = Math.min(MAX_TIMER_MS, Math.max(0, 1000 * (deadline - now())));
    this.#timer = setTimeout(() => this.#pump(session.handle_timer(now())), waitMs);
  }

  #follow(event) {
    const react = {
      OpenLink: () => this.#transport.open(),
      SendBlock: (block) => this.#post.post(block),
      CloseLink: ({ code, reason }) => this.#transport.close(code, reason),
      StateChanged: ({ phase, shown }) => this.#obey(phase, shown),
      StatusReceived: ({ message: { alert } }) => alert && this.#warn(alert.name, alert.on, alert.value),
      ErrorReceived: ({ message: { code, parameters, message } }) => {
        this.#notice = { key: `errors.${code}`, parameters, message };
      },
      AlertRaised: ({ name, value }) => this.#warn(name, true, value),
      AlertCleared: ({ name }) => this.#warn(name, false),
    };
    react[event.type]?.(event);
  }

  /** The session's phase may change without a button: at its limit, or on a page that was loaded again. */
  #obey(phase, shown) {
    if (["connected", "recording"].includes(shown)) this.#notice = null;
    if (shown === "reconnecting") this.#alerts.delete("latency"); // something else is the matter
    if (!["recording", "paused", "idle"].includes(phase)) {
      this.#alerts.clear();
      this.#endRecording();
    }
    // A new recorder never starts by itself.
    if (phase === "recording" && this.#recorder === null) this.#session.pause(now());
  }

  #warn(name, on, value) {
    if (on) this.#alerts.set(name, value);
    else this.#alerts.delete(name);
  }

  /** Nobody is listened to without seeing it: a panel that is gone from the page ends its session, which is saved. */
  #mindTheUnseen() {
    if (this.#watchers.size === 0 && this.#recorder) this.act("stop");
  }

  // --- the microphone ---

  get #capturing() {
    return ["recording", "paused"].includes(this.#session.phase);
  }

  async #record(begin) {
    this.#problem = null;
    if (this.#recorder?.state !== "paused") this.#recorder = await this.#newRecorder();
    this.#playable?.set("playing", true);
    begin(this.#session);
    this.#recorder.start();
    this.#soundAt = now();
    this.#meter ??= setInterval(() => this.#listen(), METER_MS);
  }

  async #newRecorder() {
    await this.#recorder?.stop();
    this.#waitFor("microphone_asking");
    const { stream, playable, media } = await openStream(this.#model).finally(() => this.#waitFor(null));
    this.#playable = playable;
    const number = this.#streams++;
    let first = true;
    const recorder = new Recorder(stream, {
      timesliceMs: this.#model.get("timeslice_ms"),
      bitsPerSecond: this.#model.get("bits_per_second"),
      onEnded: () => this.#sourceEnded(),
      onChunk: ({ payload, mime, durationMs, beginMs }) => {
        if (!this.#capturing) return; // the session was over before its recorder was
        const duration_ms = Math.min(MAX_DURATION_MS, Math.round(durationMs)); // a machine may sleep
        const captured_ms = this.#session.clock_ms(beginMs / 1000);
        const head = { duration_ms, captured_ms, stream: number, mime: first ? mime : null };
        first = false;
        this.#pump(this.#session.send_audio(payload, { ...head, now: now() }));
      },
    });
    const over = () => this.#recorder === recorder && this.#sourceEnded();
    media?.addEventListener("ended", over, { once: true });
    return recorder;
  }

  /** A file that is over ends the session; a microphone that went away pauses it until there is another. */
  async #sourceEnded() {
    const playable = this.#playable;
    await this.#endRecording();
    if (!this.#capturing) return;
    if (playable) this.#session.stop(now());
    else {
      this.#session.pause(now());
      this.#problem = { key: "notebook.microphone_gone" };
    }
    this.#pump();
  }

  async #endRecording() {
    clearInterval(this.#meter);
    const recorder = this.#recorder;
    this.#meter = this.#recorder = this.#playable = this.#levelDbfs = null;
    await recorder?.stop();
  }

  /** Says what is waited for, if it takes long. */
  #waitFor(key) {
    clearTimeout(this.#patience);
    this.#awaited = null;
    if (key === null) return;
    this.#patience = setTimeout(() => {
      this.#awaited = key;
      this.#changed();
    }, PATIENCE_MS);
  }

  #listen() {
    this.#levelDbfs = this.#recorder.state === "recording" ? this.#recorder.level() : null;
    if (this.#levelDbfs === null || this.#levelDbfs > SILENT_DBFS) this.#soundAt = now();
    this.#changed();
  }

  // --- what others see ---

  #changed() {
    if (this.#watchers.size === 0) return;
    const view = this.#view();
    for (const watcher of this.#watchers) watcher(view);
  }

  #view() {
    // What is past has no session any more: Python remembers it for a page that was loaded again.
    const session = this.#session ?? this.#past ?? NOTHING;
    return {
      t: translator(CATALOGUES, this.#model.get("ui_language")),
      sessionId: session.session_id,
      shown: shownOf(session),
      phase: session.phase,
      mode: session.mode,
      givenUp: session.given_up,
      busy: this.#busy,
      usable: this.#problem === null,
      elapsedS: session.audio_ms / 1000,
      levelDbfs: this.#levelDbfs,
      latencyS: session.latency ? session.latency.p50_ms / 1000 : null,
      finals: session.finals,
      partials: [...session.partials.values()],
      notice: this.#problem ?? this.#notice,
      hints: this.#hints(),
      file: session.summary?.file,
    };
  }

  #hints() {
    const hints = [...this.#alerts].map(([name, value]) => ({ key: `notebook.alert_${name}`, parameters: { value } }));
    if (this.#exposed) hints.push({ key: "notebook.exposed" });
    if (this.#awaited) hints.push({ key: `notebook.${this.#awaited}` });
    if (this.#levelDbfs !== null && now() - this.#soundAt > SILENT_AFTER_S) hints.push({ key: "notebook.no_sound" });
    const { shown, mode, given_up, held_ms } = this.#session ?? NOTHING;
    const inBlocks = mode === "block" && !given_up && shown !== "completed";
    const waiting = inBlocks ? "notebook.blocks" : shown === "reconnecting" ? "notebook.held" : null;
    if (waiting) hints.push({ key: waiting, parameters: { seconds: held_ms / 1000 } });
    return hints;
  }

  #reflection() {
    const { mode, finals, partials, latency, audio_ms, summary } = this.#session;
    const partial = [...partials.values()].map(({ text }) => text).join(" ");
    const alerts = Object.fromEntries(this.#alerts);
    const { file, complete } = summary ?? { file: "", complete: false };
    return { state: shownOf(this.#session), mode, partial, finals, latency, audio_s: audio_ms / 1000, alerts, file, complete };
  }
}

export default () => {
  let capture;
  return {
    initialize({ model }) {
      capture = new Capture(model);
      return () => capture.close();
    },
    render({ el }) {
      const view = new View(el, (action) => capture.act(action));
      const forget = capture.watch((state) => view.draw(state));
      return () => {
        forget();
        view.close();
      };
    },
  };
};
