/** Where the sound comes from: the stream of an ipywebrtc widget, and why it may not be had. */

/** A reason that the page itself can tell, before the browser is asked. */
export class InsecureContextError extends Error {
  name = "InsecureContextError";
}

/**
 * The MediaStream of an ipywebrtc widget (CameraStream, AudioStream, …).
 *
 * @param {object} model of the widget whose trait `stream` refers to it
 * @returns {Promise<{stream: MediaStream, playable: object | null, media: HTMLMediaElement | null}>} for a file:
 *   the widget's model, and the element that plays it, whose tracks do not end when it does
 */
export async function openStream(model) {
  const reference = model.get("stream").replace("IPY_MODEL_", "");
  const source = await model.widget_manager.get_model(reference);
  const playable = source.get("playing") === undefined ? null : source;
  if (!playable && !navigator.mediaDevices) throw new InsecureContextError("no mediaDevices");
  const stream = await source.captureStream();
  return { stream, playable, media: source.media ?? null };
}

const PROBLEMS = {
  InsecureContextError: "microphone_insecure",
  NotAllowedError: "microphone_denied",
  SecurityError: "microphone_denied",
  NotFoundError: "microphone_none",
  OverconstrainedError: "microphone_none",
  NotReadableError: "microphone_busy",
  AbortError: "microphone_busy",
};

/** What to tell the person when `openStream` or a recorder failed: a text's key and parameters. */
export function problemOf(error) {
  const key = PROBLEMS[error.name];
  return key
    ? { key: `notebook.${key}` }
    : { key: "notebook.microphone_failed", parameters: { reason: error.message } };
}
