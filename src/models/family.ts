/** Recognition of an architecture from the names and shapes of weights, in its own key names. */
import type { PresetInput } from "./preset.ts";

export type Shapes = ReadonlyMap<string, readonly number[]>;
export type Config = Record<string, unknown>;

/** A part of a configuration that shapes do not tell and that changes the features. */
export interface Guess {
  /** Key of the configuration. */
  key: string;
  /** Sentence about it that says how to answer. */
  question: string;
}

/** Recognition of one architecture, in its own key names. */
export interface Family {
  readonly architecture: string;
  /** A key that every network of the family has. */
  readonly anchor: string;
  /**
   * Configurations that may fit; whether they do is for the caller to check, shape by shape.
   * @param name what its package or its file calls the network, where that is known
   */
  readonly infer: (shapes: Shapes, name: string) => Config[];
  /** Names that its package gives to networks of the family which are no presets. */
  readonly named?: RegExp;
  /** Questions to ask where neither the user nor the model's files answer them. */
  readonly guess?: (config: Config, name: string) => readonly Guess[];
  /** Keys beside the backbone's own that mean another network, whose features this one would not compute. */
  readonly foreign?: RegExp;
  /** Keys inside the backbone's own modules that are known to be no part of it. */
  readonly nested?: RegExp;
  /** True when a linear layer over the features with so many outputs is the classifier of pre-training; always when left out. */
  readonly hasLinearClassifier?: (config: Config, outputs: number) => boolean;
  /**
   * Input of weights that are no preset.
   * @param shapes all of the file
   */
  readonly input: (config: Config, shapes: Shapes) => PresetInput;
}

/** Number of consecutive indices from 0 on for which a key exists. */
export function count(shapes: Shapes, key: (index: number) => string): number {
  let n = 0;
  while (shapes.has(key(n))) n += 1;
  return n;
}
