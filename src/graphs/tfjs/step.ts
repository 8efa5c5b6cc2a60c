/** Operators and layers of TensorFlow.js as steps of a program. */
import { Tensor, UserError } from "../../torch/index.ts";
import type { Part, Problem } from "../features.ts";
import type { GraphImages } from "../graph-model.ts";
import type { Context, Link, Step } from "../step.ts";
import type { Value } from "../values.ts";

/** The largest published networks have a few thousand. */
export const maximumSteps = 20_000;

/** Names are those of tensors; the first output names the step too. */
export interface TfjsStep extends Step<string>, Pick<Part<string>, "kind" | "isLayer" | "isActivated" | "problem"> {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Names of the weights that it uses, and of its BatchNorm layer. */
  readonly weights: readonly string[];
  readonly norm?: string | undefined;
}

/** Network that a file describes: steps from the images to its outputs. */
export interface Parsed {
  readonly file: string;
  readonly steps: readonly TfjsStep[];
  /** Their name is the images' tensor. */
  readonly images: GraphImages;
  /** Dimension of the channels in its maps; graphs may turn the images first. */
  readonly channel: 1 | 3;
  readonly outputs: readonly string[];
}

/** A step's function on tensors, and its part in a chain. */
export interface TensorRun<R extends Tensor | readonly Tensor[] = Tensor | readonly Tensor[]> {
  (inputs: readonly Tensor[], context: Context): R;
  readonly link?: Link | undefined;
}

/** A function of its own step, which gets its part in a chain. */
export function linked(
  run: (inputs: readonly Tensor[], context: Context) => Tensor,
  link: Link | undefined,
): TensorRun<Tensor> {
  return Object.assign(run, { link });
}

/** A step's inputs, all of which are tensors. */
export function tensorsOf(inputs: readonly (Value | undefined)[]): Tensor[] {
  return inputs.map((value) => {
    if (value instanceof Tensor) return value;
    throw new UserError("no step makes one of its inputs");
  });
}

/** A step's function and part from a function that takes all its inputs as tensors. */
export function onTensors(run: TensorRun): Pick<Step<string>, "run" | "link"> {
  return { run: (inputs, context) => run(tensorsOf(inputs), context), link: run.link };
}

/** A step that cannot run: only what needs it is refused. */
export function brokenStep(step: Pick<TfjsStep, "kind" | "inputs" | "outputs">, problem: Problem): TfjsStep {
  const run = (): never => {
    throw problem === "unsupported" ? new UserError(`${step.kind} is not supported`) : problem;
  };
  return { ...step, label: step.kind, isLayer: false, weights: [], problem, run };
}
