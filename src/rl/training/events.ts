/** Events of an agent's training: the progress bar and the log file read them. */
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { appendJsonLine, readJsonLines, writeFileAtomic } from "../../io/index.ts";

export const agentEventVersion = 1;

export type AgentEvent =
  | {
      type: "start";
      version: number;
      environment: string;
      algorithm: string;
      seed: number;
      members: readonly string[];
      totalSteps: number;
      /** Steps at which it goes on; 0 for a new run. */
      steps: number;
      time: string;
    }
  | {
      type: "progress";
      /** Steps of the environment so far, over its copies. */
      steps: number;
      totalSteps: number;
      /** Episodes that ended since the last such event. */
      returns: number[];
      /** Scores of the same episodes in the game's points, where the rewards that are learned from are clipped. */
      scores?: number[];
      lengths: number[];
      /** Means over the last 100 episodes. */
      meanReturn?: number;
      meanScore?: number;
      meanLength?: number;
      stepsPerSecond: number;
      /** Share of activations of each agent of a hub since the last such event. */
      shares?: number[];
      logs: Record<string, number>;
    }
  | {
      /** The policy as it is now, on episodes apart from training. */
      type: "evaluation";
      steps: number;
      returns: number[];
      meanReturn: number;
    }
  | {
      type: "finished";
      steps: number;
      seconds: number;
      meanReturn?: number | undefined;
      meanScore?: number | undefined;
      episodes: number;
    };

/** The part of the events that is read again. */
const progressSchema = z.looseObject({
  type: z.literal("progress"),
  steps: z.number(),
  totalSteps: z.number(),
  returns: z.array(z.number()),
  shares: z.array(z.number()).optional(),
});

export type EmitAgent = (event: AgentEvent) => void;

/**
 * Appends each event as a line of JSON to a file.
 * @param from steps at which a run goes on: what a lost session wrote beyond is removed, since it happens again
 */
export function agentLog(path: string, from: number): EmitAgent {
  if (existsSync(path)) {
    const kept = readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => isBefore(line, from));
    writeFileAtomic(path, kept.map((line) => `${line}\n`).join(""));
  }
  return (event) => appendJsonLine(path, event);
}

/** A line that a killed process left unfinished is none. */
function isBefore(line: string, from: number): boolean {
  try {
    return (JSON.parse(line) as AgentEvent).steps <= from;
  } catch {
    return false;
  }
}

/** The progress events of a run's log. */
export function readProgress(path: string): Extract<AgentEvent, { type: "progress" }>[] {
  return readJsonLines(path, progressSchema) as unknown as Extract<AgentEvent, { type: "progress" }>[];
}
