/** A network as a list of steps over named tensors: ordering, pruning, and running with early release. */
import { scope, type Tensor, TorchError, UserError } from "../../torch/index.ts";
import { topological } from "../topological.ts";
import type { Guard } from "./guard.ts";
import type { Layout } from "./spatial.ts";
import { shown, told } from "./text.ts";

/** Runs one layer or operator; parameters are what the function closes over. */
export type Run = (inputs: readonly Tensor[], guard: Guard) => Tensor | readonly Tensor[];

export interface Step {
  /** Class of the layer or operator. */
  readonly kind: string;
  /** Names of the tensors that it makes; the first names the step too. */
  readonly outputs: readonly string[];
  readonly inputs: readonly string[];
  /** Layers with weights, the last of which usually is the classifier. */
  readonly role?: "dense" | "convolution" | undefined;
  readonly run: Run;
}

/** A whole network: steps from the images to its outputs. */
export interface Network {
  readonly steps: readonly Step[];
  /** The tensor of the images, and its shape in the file, where -1 is any size. */
  readonly input: string;
  readonly inputShape: readonly number[];
  readonly layout: Layout;
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
  const names = stuck.slice(0, 4).map((item) => shown(describe(item)));
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
   * @throws UserError naming the step where an operator refuses its inputs
   */
  run(
    given: ReadonlyMap<string, Tensor>,
    guard: Guard,
    watch?: (step: Step, made: readonly Tensor[]) => void,
  ): Tensor[] {
    const values = new Map(given);
    // One tensor can have several names: an identity gives its input back.
    const names = new Map<Tensor, number>();
    const count = (tensor: Tensor, by: number): number => {
      const left = (names.get(tensor) ?? 0) + by;
      names.set(tensor, left);
      return left;
    };
    for (const tensor of given.values()) count(tensor, 1 + 1);
    for (const [i, step] of this.#plan.steps.entries()) {
      const made = this.#perform(step, values, guard);
      for (const [k, tensor] of made.entries()) {
        const name = step.outputs[k];
        if (name === undefined) continue;
        values.set(name, tensor);
        count(tensor, 1);
      }
      guard.made(step, made);
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
    return this.#wanted.map((name) => {
      const tensor = values.get(name);
      if (!tensor) throw new UserError(`${this.#plan.file}: no step makes the tensor ${shown(name)}`);
      return tensor;
    });
  }

  #perform(step: Step, values: ReadonlyMap<string, Tensor>, guard: Guard): readonly Tensor[] {
    const inputs = step.inputs.map((name) => {
      const value = values.get(name);
      if (!value) throw new UserError(`${this.#plan.file}: no step makes the tensor ${shown(name)}`);
      return value;
    });
    try {
      const made = scope(() => step.run(inputs, guard));
      return Array.isArray(made) ? (made as readonly Tensor[]) : [made as Tensor];
    } catch (error) {
      const where = `${this.#plan.file}: ${step.kind} ${shown(step.outputs[0])}`;
      const shapes = told(inputs.map((input) => `[${input.shape.join(", ")}]`).join(", "));
      if (error instanceof UserError) {
        throw new UserError(`${where} on ${shapes}: ${told(error.message)}`, { cause: error });
      }
      if (!(error instanceof TorchError || error instanceof RangeError)) throw error;
      const reason = told(error.message.split("\n")[0] ?? "");
      throw new UserError(`${where} cannot take ${shapes}: ${reason}`, { cause: error });
    }
  }
}
