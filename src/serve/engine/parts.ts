/** What an engine computes with, behind one small interface: score rows, run a member on rows, join. n rows, m members, C classes. */

import type { AnswerTask, Choices, Rule } from "../../runtime/index.ts";

/** A model as the server describes it. */
export interface ModelInfo {
  readonly kind: "run" | "bundle";
  /** What answers are, where they are not one class. */
  readonly task?: NonNullable<AnswerTask>;
  /** Names of classes, labels or numbers, in the order of probabilities. */
  readonly labels: readonly string[];
  /** Names of what is run on its own, in the order of the weights; several models that only answer together are one entry. */
  readonly members: readonly string[];
  /** Side of the squares that images are decoded to, pixels. */
  readonly size: number;
  /** Shape of photographs as squares, where they are not cropped. */
  readonly fit?: "squash";
  /** Models activated for each image, those that may be, and their weights. */
  readonly rule: Rule;
  /** What a request may choose from. */
  readonly choices: Choices;
  /** Temperature of the probabilities that users get; an engine gives them as the models do. */
  readonly temperature?: number;
  /** Probability below which an answer is rejected; nothing where the model has no threshold. */
  readonly rejectBelow?: number;
}

/** Images as they were decoded: bytes [n, size, size, 3]. */
export interface Pixels {
  readonly bytes: Uint8Array;
  readonly rows: number;
}

/** One batch of images in one place, with what was found about it. */
export interface OpenBatch {
  /** [n, m]; nothing where nothing scores. */
  readonly scores: Float32Array | undefined;
  /** Runs a member on rows of the batch and keeps what it finds; a later run on other rows adds to it. */
  run(member: number, rows: readonly number[]): Promise<void>;
  /** Answers [n, C] under weights [n, m], each above zero only where the member ran. */
  join(weights: Float32Array): Promise<Float32Array>;
  dispose(): void;
}

export interface ModelParts {
  readonly info: ModelInfo;
  /** Takes a batch, and scores it. */
  open(pixels: Pixels): Promise<OpenBatch>;
  /** Members whose weights are in memory. */
  resident(): number;
  dispose(): Promise<void>;
}
