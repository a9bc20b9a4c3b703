/** Draws a capture into an element and hands its buttons back; knows nothing of sockets or recorders. */

const FLOOR_DBFS = -60;
const LOW_CONFIDENCE = 0.5;

/**
 * What a person may do now, the main action first. In block mode the attempt is in Error, and recording goes on.
 *
 * @param {{shown: string, phase: string, mode: string, givenUp: boolean, usable: boolean}} view
 * @returns {string[]} names of actions
 */
export function actionsOf({ shown, phase, mode, givenUp, usable }) {
  if (!usable) return ["retry"];
  const recording = { idle: ["start"], recording: ["pause", "stop"], paused: ["resume", "stop"] }[phase] ?? [];
  switch (shown) {
    case "connecting":
    case "connected":
      return phase === "idle" ? ["start"] : ["stop"];
    case "recording":
    case "paused":
    case "reconnecting":
      return [...recording, "blocks"];
    case "error":
      if (phase === "failed") return ["renew"];
      return mode === "block" && !givenUp ? [...recording, "reconnect"] : ["reconnect", "renew"];
    case "completed":
      return ["renew"];
    default:
      return [];
  }
}

/** @param {number} seconds */
export const clockTime = (seconds) =>
  `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Words in place, those that may still change in grey, those that the model doubts underlined. */
function wordSpans(words, committed, doubt) {
  return words.flatMap((word, index) => {
    const span = element("span", {}, word.text.trimStart());
    if (index >= committed) span.className = "rtstt-tentative";
    else if (word.probability < LOW_CONFIDENCE) {
      span.className = "rtstt-doubtful";
      span.title = doubt(word.probability);
    }
    // The space stays outside, so that nothing underlines it.
    return [word.text.slice(0, -word.text.trimStart().length || undefined), span];
  });
}

export class View {
  #act;
  #parts;
  #drawnFinals = 0;
  #session = null;
  #frame = 0;

  /**
   * @param {HTMLElement} root
   * @param {(action: string) => void} act called with the name of the button that was pressed
   */
  constructor(root, act) {
    this.#act = act;
    const badge = element("span", { class: "rtstt-badge", role: "status" });
    const clock = element("span", { class: "rtstt-clock", role: "timer" });
    const level = element("span", { class: "rtstt-level-fill" });
    const meter = element("span", { class: "rtstt-level", role: "meter", "aria-valuemin": FLOOR_DBFS, "aria-valuemax": 0 }, level);
    const latency = element("span", { class: "rtstt-latency" });
    const actions = element("span", { class: "rtstt-actions" });
    const notice = element("p", { class: "rtstt-notice", role: "alert" });
    const hint = element("p", { class: "rtstt-hint", role: "status" });
    const finals = element("div", { role: "log", "aria-live": "polite" });
    const partial = element("div", { class: "rtstt-partial", "aria-live": "off" });
    const empty = element("p", { class: "rtstt-empty" });
    const transcript = element("div", { class: "rtstt-transcript", tabindex: 0 }, empty, finals, partial);
    const saved = element("p", { class: "rtstt-saved" });
    const card = element(
      "section",
      // JupyterLab would take Space and Enter for commands of its own.
      { class: "rtstt-capture", "data-lm-suppress-shortcuts": "true" },
      element("header", {}, badge, clock, meter, latency, actions),
      notice, hint, transcript, saved,
    );
    this.#parts = { card, badge, clock, meter, level, latency, actions, notice, hint, finals, partial, empty, transcript, saved };
    root.replaceChildren(card);
  }

  /** @param {object} view as `Capture.view` describes it; drawn with the screen's next frame */
  draw(view) {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#drawNow(view));
  }

  close() {
    cancelAnimationFrame(this.#frame);
  }

  #drawNow(view) {
    const { card, badge, clock, notice, hint, saved, transcript } = this.#parts;
    const { t } = view;
    card.dataset.state = view.shown;
    card.dataset.mode = view.mode;
    card.setAttribute("aria-label", t("notebook.capture"));
    transcript.setAttribute("aria-label", t("notebook.transcript"));
    setText(badge, t(`notebook.state_${view.shown}`));
    setText(clock, clockTime(view.elapsedS));
    show(notice, view.notice && t(view.notice.key, view.notice.parameters, view.notice.message));
    show(hint, view.hints.map(({ key, parameters }) => t(key, parameters)).join("\n"));
    show(saved, view.file && t("notebook.saved", { file: view.file }));
    this.#drawMeter(view);
    this.#drawLatency(view);
    this.#drawActions(view);
    this.#drawTranscript(view);
  }

  #drawMeter({ levelDbfs, t }) {
    const { meter, level } = this.#parts;
    meter.hidden = levelDbfs === null;
    if (meter.hidden) return;
    const shown = Math.min(0, Math.max(FLOOR_DBFS, levelDbfs));
    level.style.transform = `scaleX(${1 - shown / FLOOR_DBFS})`;
    meter.setAttribute("aria-label", t("notebook.level"));
    meter.setAttribute("aria-valuenow", Math.round(shown));
    meter.setAttribute("aria-valuetext", `${Math.round(levelDbfs)} dBFS`);
  }

  #drawLatency({ latencyS, t }) {
    const { latency } = this.#parts;
    show(latency, latencyS !== null && t("notebook.latency", { seconds: latencyS }));
    latency.dataset.quality = latencyS > 3 ? "bad" : latencyS > 2 ? "fair" : "good";
    latency.title = t("notebook.latency_title");
  }

  #drawActions(view) {
    const { actions } = this.#parts;
    const names = actionsOf(view);
    const label = (name) => view.t(`notebook.action_${name}`);
    if (names.join() !== actions.dataset.names) {
      const focused = actions.contains(document.activeElement);
      actions.dataset.names = names.join();
      actions.replaceChildren(...names.map((name) => this.#button(name)));
      if (focused) actions.firstElementChild?.focus(); // Pause gave way to Resume under the finger
    }
    names.forEach((name, index) => setText(actions.children[index], label(name)));
    for (const button of actions.children) button.disabled = view.busy;
  }

  #button(name) {
    const button = element("button", { type: "button", "data-action": name });
    button.addEventListener("click", () => this.#act(name));
    return button;
  }

  #drawTranscript(view) {
    const { finals, partial, empty, transcript } = this.#parts;
    const atEnd = transcript.scrollHeight - transcript.scrollTop - transcript.clientHeight < 24;
    const doubt = (probability) => view.t("notebook.doubtful", { percent: 100 * probability });
    if (this.#session !== view.sessionId || this.#drawnFinals > view.finals.length) {
      this.#session = view.sessionId;
      this.#drawnFinals = 0;
      finals.replaceChildren();
    }
    for (const final of view.finals.slice(this.#drawnFinals)) {
      finals.append(line(final.words, final.words.length, doubt));
    }
    this.#drawnFinals = view.finals.length;
    partial.replaceChildren(...view.partials.map(({ words, committed }) => line(words, committed, doubt)));
    show(empty, !finals.hasChildNodes() && !partial.hasChildNodes() && view.t(`notebook.empty_${view.phase}`));
    if (atEnd) transcript.scrollTop = transcript.scrollHeight;
  }
}

function line(words, committed, doubt) {
  const startS = words.length ? words[0].start_ms / 1000 : 0;
  const time = element("time", {}, clockTime(startS));
  return element("p", { class: "rtstt-line" }, time, element("span", {}, ...wordSpans(words, committed, doubt)));
}

/** Leaves a text alone that is the same already: a live region would say it again. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, text) {
  node.hidden = !text;
  setText(node, text || "");
}
