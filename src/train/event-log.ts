/** A run's events.jsonl: written as things happen, read by the report. */
import { z } from "zod";
import { appendJsonLine, readJsonLines, reasonOf, repairJsonLines } from "../io/index.ts";
import type { Emit, RunEvent } from "./events.ts";

/** The part of the events that is read again; null stands for a number that was not finite. */
const epochSchema = z.looseObject({
  type: z.literal("epoch"),
  fit: z.string(),
  epoch: z.number(),
  loss: z.number().nullable(),
  validation: z.looseObject({ accuracy: z.number().nullable() }).optional(),
  shares: z.array(z.number()).optional(),
});
const otherSchema = z.looseObject({ type: z.string().refine((type) => type !== "epoch") });
const eventSchema = z.union([epochSchema, otherSchema]);

/**
 * An emitter that appends each event to the log, steps thinned to one in ten, and passes it on. A log that cannot be
 * written is said once; the run goes on without it.
 */
export function loggedEmit(path: string, emit: Emit): Emit {
  let broken = false;
  const attempt = (write: () => void): void => {
    if (broken) return;
    try {
      write();
    } catch (error) {
      broken = true;
      emit({ type: "note", text: `${path} cannot be written (${reasonOf(error)}): the run goes on without its log` });
    }
  };
  attempt(() => repairJsonLines(path));
  return (event) => {
    if (event.type !== "step" || event.step % 10 === 0) attempt(() => appendJsonLine(path, event));
    emit(event);
  };
}

/** Events of a log; lines that are none, such as one that a full disk cut, are left out. */
export function readEvents(path: string): RunEvent[] {
  return readJsonLines(path, eventSchema) as unknown as RunEvent[];
}
