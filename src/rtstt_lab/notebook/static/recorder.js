/** One MediaRecorder: its chunks in order, and its level. A new instance is a new stream with its own header. */

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const FLUSH_TIMEOUT_MS = 1000;
const SILENT_DBFS = -100;

/** The first type that this browser records and the server reads; "" leaves the choice to the browser. */
export function recordingType(supported = (type) => MediaRecorder.isTypeSupported(type)) {
  return TYPES.find(supported) ?? "";
}

export class Recorder {
  #recorder;
  #deliver;
  #timesliceMs;
  #delivered = Promise.resolve();
  #beginMs = 0;
  #context = new AudioContext();
  #analyser;
  #samples;

  /**
   * @param {MediaStream} stream
   * @param {object} options
   * @param {number} options.timesliceMs
   * @param {number} options.bitsPerSecond
   * @param {(chunk: {payload: Uint8Array, mime: string, durationMs: number, beginMs: number}) => void} options.onChunk
   *   gets each chunk, in order; `beginMs` is on `performance.now()`'s clock
   * @param {() => void} options.onEnded the source ended by itself: unplugged, withdrawn, or a file that is over
   */
  constructor(stream, { timesliceMs, bitsPerSecond, onChunk, onEnded }) {
    this.#deliver = onChunk;
    const audio = new MediaStream(stream.getAudioTracks());
    this.#recorder = new MediaRecorder(audio, {
      mimeType: recordingType(),
      audioBitsPerSecond: bitsPerSecond,
    });
    this.#recorder.ondataavailable = (event) => this.#take(event.data);
    this.#recorder.onstop = () => onEnded();
    this.#timesliceMs = timesliceMs;
    this.#analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#context.createMediaStreamSource(audio).connect(this.#analyser);
    this.#samples = new Float32Array(this.#analyser.fftSize);
  }

  get state() {
    return this.#recorder.state;
  }

  /** Starts, or goes on after `pause`. */
  start() {
    this.#context.resume();
    if (this.#recorder.state === "paused") this.#recorder.resume();
    else this.#recorder.start(this.#timesliceMs);
    this.#beginMs = performance.now();
  }

  /** Resolves when everything recorded until now has been delivered. */
  async pause() {
    if (this.#recorder.state !== "recording") return;
    const paused = this.#next("pause");
    this.#recorder.pause();
    const rest = paused.then(() => this.#next("dataavailable"));
    this.#recorder.requestData();
    await rest;
    await this.#delivered;
  }

  /** As `pause`, and for good. */
  async stop() {
    this.#recorder.onstop = null;
    if (this.#recorder.state !== "inactive") {
      const stopped = this.#next("stop");
      this.#recorder.stop();
      await stopped;
    }
    await this.#delivered;
    if (this.#context.state !== "closed") await this.#context.close();
  }

  /** RMS of the last 20 ms or so, in dBFS; -100 for digital silence: a source that delivers nothing. */
  level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
    return power > 0 ? Math.max(SILENT_DBFS, 10 * Math.log10(power)) : SILENT_DBFS;
  }

  #take(blob) {
    const nowMs = performance.now();
    if (blob.size === 0) return; // its time belongs to the next chunk
    const chunk = { mime: this.#recorder.mimeType, durationMs: nowMs - this.#beginMs, beginMs: this.#beginMs };
    this.#beginMs = nowMs;
    this.#delivered = this.#delivered.then(async () => {
      this.#deliver({ ...chunk, payload: new Uint8Array(await blob.arrayBuffer()) });
    });
  }

  #next(type) {
    return new Promise((resolve) => {
      this.#recorder.addEventListener(type, resolve, { once: true });
      setTimeout(resolve, FLUSH_TIMEOUT_MS); // a recorder that died answers nothing
    });
  }
}
