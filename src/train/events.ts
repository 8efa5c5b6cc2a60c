/** Events of a run, as one typed union: the progress bar, the log file and the report all read it. */
import type { Quality, TaskMetrics } from "./metrics.ts";
import type { RunPlan } from "./plan.ts";
import type { RankingPrior } from "./ranking.ts";

export const eventVersion = 1;

export type RunEvent =
  | {
      type: "start";
      version: number;
      method: string;
      hub: string;
      data: string;
      seed: number;
      members: string[];
      /** Processes that train the run, and the one that says this: the first is 0. */
      ranks: number;
      rank: number;
      time: string;
    }
  | ({ type: "plan" } & RunPlan)
  | ({ type: "prior" } & RankingPrior)
  | {
      type: "fit";
      fit: string;
      epochs: number;
      steps: number;
      resumedAt: number;
      /** The best weights so far of a fit that goes on. */
      best?: ({ epoch: number } & Quality) | undefined;
    }
  | {
      type: "step";
      fit: string;
      epoch: number;
      step: number;
      steps: number;
      loss: number;
      imagesPerSecond: number;
      /** Running share of activations of each model, when the learner routes. */
      shares?: number[];
      /** Further figures of the learner, for instance the parts of its loss. */
      logs: Record<string, number>;
    }
  | {
      type: "epoch";
      fit: string;
      epoch: number;
      loss: number;
      validation: TaskMetrics | undefined;
      shares?: number[];
      seconds: number;
    }
  | { type: "fitted"; fit: string; seconds: number; trainingFlops: number }
  | { type: "note"; text: string }
  | { type: "result"; split: string; metrics: TaskMetrics; secondsPerImage: number };

export type Emit = (event: RunEvent) => void;
