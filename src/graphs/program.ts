/** A network as a list of steps over named tensors: ordering, pruning, and running with early release. */
import { quoted, reasonOf } from "../io/index.ts";
import { scope, type Tensor, TorchError, UserError } from "../torch/index.ts";
import type { Batch } from "./batch.ts";
import type { Guard } from "./tfjs/guard.ts";
import type { Layout } from "./tfjs/spatial.ts";
import { topological } from "./topological.ts";

/** Runs one layer or operator; parameters are what the function closes over. */
export type Run = (inputs: readonly Tensor[], guard: Guard) => Tensor | readonly Tensor[];

export interface Step {
  /** Class of the layer or operator. */
  readonly kind: string;
  /** Names of the tensors that it makes; the first names the step too. */
  readonly outputs: readonly string[];
  readonly inputs: readonly string[];
  /** True for layers that multiply by weights: the last of them usually is the classifier. */
  readonly isLayer: boolean;
  /** True for such a layer with an activation of its own that is no softmax or sigmoid. */
  readonly isActivated?: boolean | undefined;
  /** Names of the weights that it uses, and of its BatchNorm layer. */
  readonly weights: readonly string[];
  readonly norm?: string | undefined;
  /** Why it cannot run, where it cannot. */
  readonly problem?: Problem | undefined;
  readonly run: Run;
}

export interface Problem {
  readonly error: UserError;
  /** Whether its kind is not supported at all. */
  readonly isUnsupported: boolean;
}

/** A step that cannot run: only what needs it is refused. */
export function brokenStep(step: Omit<Step, "run" | "isLayer">, problem: Problem): Step {
  const run = (): never => {
    throw problem.error;
  };
  return { ...step, isLayer: false, problem, run };
}

/** A whole network: steps from the images to its outputs. */
export interface Network {
  readonly steps: readonly Step[];
  /** The tensor of the images, and its shape in the file, where -1 is any size. */
  readonly input: string;
  readonly inputShape: readonly number[];
  readonly layout: Layout;
  /** Dimension of the channels in its maps; graphs may turn the images first. */
  readonly channel: 1 | 3;
  readonly outputs: readonly string[];
}

/** The largest published networks have a few thousand. */
export const maximumSteps = 20_000;

/** Steps in an order that can be run, each before those that read what it makes. */
export interface Plan {
  readonly file: string;
  readonly steps: readonly Step[];
}

/**
 * Orders items so that each comes after what it depends on; cyclic ones cannot be ordered.
 * @throws UserError naming some items of a cycle
 */
export function ordered<T>(
  items: readonly T[],
  dependencies: (item: T) => readonly T[],
  describe: (item: T) => string,
  file: string,
): T[] {
  const { ordered: done, stuck } = topological(items, dependencies);
  if (stuck.length === 0) return done;
  const names = stuck.slice(0, 4).map((item) => quoted(describe(item)));
  throw new UserError(`${file}: ${names.join(", ")} depend on each other in a circle`);
}

/** The part of a plan that some tensors need. */
export function pruned(plan: Plan, wanted: readonly string[]): Plan {
  const needed = new Set(wanted);
  const steps: Step[] = [];
  for (const step of plan.steps.toReversed()) {
    if (!step.outputs.some((name) => needed.has(name))) continue;
    steps.push(step);
    for (const name of step.inputs) needed.add(name);
  }
  return { file: plan.file, steps: steps.reverse() };
}

/** What a run with another batch than the graph's own knows of one with that. */
export interface Fixed {
  readonly batch: Batch;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

export interface RunOptions {
  readonly watch?: ((step: Step, made: readonly Tensor[]) => void) | undefined;
  /** Takes the error of a step that cannot run: the run goes on without what it would have made. */
  readonly onFailure?: ((step: Step, error: UserError) => void) | undefined;
  readonly reference?: Fixed | undefined;
}

function referenceOf(step: Step, { batch, shapes }: Fixed): Guard["reference"] {
  const shapesOf = (names: readonly string[]): (readonly number[])[] => names.map((name) => shapes.get(name) ?? []);
  return { batch, inputs: shapesOf(step.inputs), outputs: shapesOf(step.outputs) };
}

/** A plan that gives certain tensors and knows after which step each other one may be released. */
export class Program {
  readonly #plan: Plan;
  readonly #wanted: readonly string[];
  readonly #released: readonly (readonly string[])[];

  constructor(plan: Plan, wanted: readonly string[]) {
    this.#plan = pruned(plan, wanted);
    this.#wanted = wanted;
    const kept = new Set(wanted);
    const seen = new Set<string>();
    const released: string[][] = [];
    for (const step of this.#plan.steps.toReversed()) {
      const last = [...new Set([...step.inputs, ...step.outputs])].filter((name) => !kept.has(name) && !seen.has(name));
      for (const name of last) seen.add(name);
      released.push(last);
    }
    this.#released = released.reverse();
  }

  /**
   * Runs the steps on given tensors, which stay the caller's.
   * @throws UserError naming the step where an operator refuses its inputs, unless `onFailure` takes it
   */
  run(given: ReadonlyMap<string, Tensor>, guard: Guard, options: RunOptions = {}): Tensor[] {
    const { watch, onFailure, reference } = options;
    const values = new Map(given);
    // One tensor can have several names: an identity gives its input back.
    const names = new Map<Tensor, number>();
    const count = (tensor: Tensor, by: number): number => {
      const left = (names.get(tensor) ?? 0) + by;
      names.set(tensor, left);
      return left;
    };
    for (const tensor of given.values()) count(tensor, 1 + 1);
    const lost = new Set<string>();
    for (const [i, step] of this.#plan.steps.entries()) {
      guard.reference = reference && referenceOf(step, reference);
      const isLost = step.inputs.some((name) => lost.has(name));
      const made = isLost ? undefined : this.#attempt(step, values, guard, onFailure);
      if (!made) {
        for (const name of step.outputs) lost.add(name);
        continue;
      }
      for (const [k, tensor] of made.entries()) {
        const name = step.outputs[k];
        if (name === undefined) continue;
        values.set(name, tensor);
        count(tensor, 1);
      }
      guard.made(made);
      watch?.(step, made);
      for (const name of this.#released[i] ?? []) {
        const tensor = values.get(name);
        if (!tensor) continue;
        values.delete(name);
        if (count(tensor, -1) > 0 || tensor.kept) continue;
        guard.released(tensor);
        tensor.dispose();
      }
    }
    return this.#wanted.flatMap((name) => {
      const tensor = values.get(name);
      if (tensor) return tensor;
      if (onFailure) return [];
      throw new UserError(`${this.#plan.file}: no step makes the tensor ${quoted(name)}`);
    });
  }

  /** Undefined for a step that cannot run, where `onFailure` takes that. */
  #attempt(
    step: Step,
    values: ReadonlyMap<string, Tensor>,
    guard: Guard,
    onFailure: RunOptions["onFailure"],
  ): readonly Tensor[] | undefined {
    try {
      return this.#perform(step, values, guard);
    } catch (error) {
      if (!onFailure || !(error instanceof UserError)) throw error;
      onFailure(step, error);
      return undefined;
    }
  }

  #perform(step: Step, values: ReadonlyMap<string, Tensor>, guard: Guard): readonly Tensor[] {
    const inputs = step.inputs.map((name) => {
      const value = values.get(name);
      if (!value) throw new UserError(`${this.#plan.file}: no step makes the tensor ${quoted(name)}`);
      return value;
    });
    try {
      const made = scope(() => step.run(inputs, guard));
      return Array.isArray(made) ? (made as readonly Tensor[]) : [made as Tensor];
    } catch (error) {
      const where = `${this.#plan.file}: ${step.kind} ${quoted(step.outputs[0])}`;
      const shapes = reasonOf(inputs.map((input) => `[${input.shape.join(", ")}]`).join(", "));
      if (error === step.problem?.error) throw error;
      if (error instanceof UserError) {
        throw new UserError(`${where} on ${shapes}: ${reasonOf(error.message)}`, { cause: error });
      }
      if (!(error instanceof TorchError || error instanceof RangeError)) throw error;
      const reason = reasonOf(error.message.split("\n")[0] ?? "");
      throw new UserError(`${where} cannot take ${shapes}: ${reason}`, { cause: error });
    }
  }
}
