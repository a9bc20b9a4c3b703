/** What may follow what, read from the tables that Python made. Twin of `protocol/lifecycle.py`. */

import { RtsttError } from "./messages.js";
import { PHASE, RECONCILED, SHOWN, TERMINAL } from "./tables.js";

/** The state after `event` by one of the two tables; throws, and changes nothing, for a pair that is not in it. */
export function follow(table, state, event) {
  const after = table[state][event];
  if (after === undefined) throw new RtsttError("lifecycle", { state, event });
  return after;
}

/** What a person sees. */
export function shown(link, phase) {
  return SHOWN[link][phase];
}

/** Whether the session has not been stopped yet. */
export function is_recorded(phase) {
  return !is_ending(phase);
}

export function is_ending(phase) {
  return phase === "finalizing" || TERMINAL.includes(phase);
}

/** The phase that both sides continue in after a reconnection; controls that no longer fit are dropped. */
export function reconcile(client, server, pending) {
  const agreed = RECONCILED[client][server];
  return is_ending(agreed) ? agreed : pending.reduce((phase, event) => PHASE[phase][event] ?? phase, agreed);
}

/** A phase that came over the wire. */
export function known_phase(phase) {
  if (phase in PHASE) return phase;
  throw new RtsttError("frame_malformed", { reason: `phase ${phase.slice(0, 20)}` });
}
