/** Progress of the fuzzer's process, as its parent reads it. */
import type { Verdict } from "./judge.ts";

/** A message to the parent. */
export type Report = { case: number; verdict: Verdict } | { done: true };

/**
 * The file that has the number of the case at hand, and how many of the process's cases were accepted before it, as
 * doubles: it outlives a crash, and nothing waits for it.
 */
export const progressName = "progress";
