/** What `train --auto` is asked, and what it answers. */
import type { Hub } from "../../hub/index.ts";
import type { RequestedOptions, TaskData } from "../../train/index.ts";

export interface AutoRequest {
  hub: Hub;
  /** Batches of `train` have the size of a step. */
  data: TaskData;
  options: RequestedOptions;
  /** Part of each class that `data` has to validate with, where no folder is for it. */
  validationFraction: number;
  /** Seconds for everything that is left: ranking, measuring and training. */
  seconds: number;
  /** Bytes that training may take; what the machine has free when left out. */
  memory?: number | undefined;
  onMember?: ((name: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Activated models of so many. */
export const activatedOf = (m: number): number => Math.min(2, m);

/** Epochs in which each of m models sees every image so many times, where each image activates some of them. */
export const epochsFor = (passes: number, m: number): number => Math.max(1, Math.round((passes * m) / activatedOf(m)));

/** Settings by their names in `train`. */
export interface AutoSettings {
  method: "hub-pathway" | "fine-tune";
  /** Members to choose from, the best first. */
  members: string[];
  k?: number;
  tune?: string;
  /** Parts of a batch, and blocks that compute twice, where the whole step has no room. */
  accumulate?: number;
  checkpointActivations?: boolean;
  freezeMembers?: boolean;
  /** Of each image, where members stay as they are. */
  views?: number | undefined;
  /** Fewer images, where there is no time for all. */
  trainPerClass?: number;
  validationFraction?: number;
  epochs: number;
  imageSize: number;
}

export interface AutoChoice {
  settings: AutoSettings;
  /** Why, a sentence a line. */
  reasons: string[];
}
