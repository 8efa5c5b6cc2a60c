/**
 * A network as steps over named values, run within limits; every value is released after its last use. V names a value: a
 * slot, or a tensor's name.
 */
import { reasonOf } from "../io/index.ts";
import { type Dtype, scope, Tensor, TorchError, UserError } from "../torch/index.ts";
import { type Batch, batchDim, type Reference } from "./batch.ts";
import { Budget, OverBudget } from "./budget.ts";
import { joined } from "./chains.ts";
import { ancestors, dependants, type Links, present, producersOf, readersOf } from "./features.ts";
import { Context, type Step } from "./step.ts";
import { HostArray, shapeText, sizeOf, type Value } from "./values.ts";

/** A network that can be run. */
export interface Plan<V> {
  readonly file: string;
  /** Steps in an order in which each comes after those whose outputs it reads. */
  readonly steps: readonly Step<V>[];
  /** The value of the images. */
  readonly input: V;
  /** A value that no step makes, in the dtype (when floating) and on the device of the images. */
  constant(value: V, dtype: Dtype, device: string): Value | undefined;
}

/** The batch that a file fixes, and all shapes of a run with it. */
export interface FixedBatch<V> {
  readonly declared: number;
  readonly shapes: ReadonlyMap<V, readonly number[]>;
}

export interface RunOptions<V> {
  readonly fixed?: FixedBatch<V> | undefined;
  /** Sees every value that is made, and the images. */
  readonly watch?: ((name: V, value: Value) => void) | undefined;
  /** Takes the error of a step that cannot run: the run goes on without what it would have made. */
  readonly onFailure?: ((step: Step<V>, error: UserError) => void) | undefined;
}

interface Scheduled<V> {
  readonly step: Step<V>;
  /** Values whose last use this is. */
  readonly releases: readonly V[];
  readonly mayOverwrite: boolean;
}

/** The part of a plan that certain values need. */
export class Program<V> {
  readonly #plan: Plan<V>;
  readonly #wanted: readonly V[];
  readonly #scheduled: readonly Scheduled<V>[];
  /** The same with chains as single steps. */
  readonly #joined: readonly Scheduled<V>[];
  /** Values that depend on the images. */
  readonly #varying: ReadonlySet<V>;

  constructor(plan: Plan<V>, wanted: readonly V[]) {
    const steps = needed(plan.steps, wanted);
    this.#plan = plan;
    this.#wanted = wanted;
    this.#varying = dependants(steps, plan.input);
    const kept = new Set(wanted);
    this.#scheduled = schedule(steps, kept, this.#varying);
    this.#joined = schedule(joined(steps, kept), kept, this.#varying);
  }

  /**
   * The wanted values for images [n, ...], which pass to the scope of the caller; without images, those that depend on
   * constants only. With `onFailure`, a value that cannot be computed is undefined.
   * @throws UserError naming file, step and shapes when a step cannot take its inputs or goes over the limits
   */
  run(images: Tensor | undefined, { fixed, watch, onFailure }: RunOptions<V> = {}): (Value | undefined)[] {
    const { file, input } = this.#plan;
    const { dtype, device, shape } = images ?? { dtype: "float32" as const, device: "cpu", shape: [1] };
    const [n = 1, ...sides] = shape;
    const budget = new Budget(n, sizeOf(sides) / 3);
    const live = new Live<V>(budget);
    if (images) {
      live.add(input, images, false);
      watch?.(input, images);
    }
    const places = fixed && fixed.declared !== n ? new Places(fixed, n) : undefined;
    const find = (name: V | undefined): Value | undefined =>
      name === undefined ? undefined : (live.get(name) ?? this.#plan.constant(name, dtype, device));
    const lost = new Set<V>();
    const needsAll = places !== undefined || watch !== undefined || onFailure !== undefined;
    for (const { step, releases, mayOverwrite } of needsAll ? this.#scheduled : this.#joined) {
      const inputs = step.inputs.map(find);
      const isConstant = (i: number): boolean => {
        const name = step.inputs[i];
        return name === undefined || !this.#varying.has(name);
      };
      const parts = { reference: places?.before(step), mayOverwrite, isConstant };
      const context = new Context({ dtype, device, budget }, parts);
      const isLost = present(step.inputs).some((name) => lost.has(name));
      const made = isLost ? undefined : attempt(file, step, inputs, context, onFailure);
      if (!made) for (const name of present(step.outputs)) lost.add(name);
      for (const [i, value] of made?.entries() ?? []) {
        const name = step.outputs[i];
        if (name === undefined) continue;
        live.add(name, value, !inputs.includes(value));
        watch?.(name, value);
      }
      places?.after(step, context.outer, inputs, made ?? []);
      for (const name of releases) live.release(name);
    }
    return this.#wanted.map(find);
  }
}

/** The steps that some values depend on. */
export function needed<V, S extends Links<V>>(steps: readonly S[], wanted: readonly V[]): S[] {
  const values = ancestors(wanted, producersOf(steps));
  return steps.filter(({ outputs }) => present(outputs).some((name) => values.has(name)));
}

function schedule<V>(
  steps: readonly Step<V>[],
  kept: ReadonlySet<V>,
  varying: ReadonlySet<V>,
): readonly Scheduled<V>[] {
  const readers = readersOf<V, Step<V>>(steps);
  const producers = producersOf(steps);
  const seen = new Set(kept);
  const backwards = steps.toReversed().map((step): Scheduled<V> => {
    const releases = [...new Set(present([...step.inputs, ...step.outputs]))].filter((name) => !seen.has(name));
    for (const name of releases) seen.add(name);
    const [first] = step.inputs;
    const isOnly = first !== undefined && varying.has(first) && !kept.has(first) && readers.get(first)?.length === 1;
    return { step, releases, mayOverwrite: isOnly && (producers.get(first)?.isOverwritable ?? false) };
  });
  return backwards.reverse();
}

/** Undefined for a step that cannot run, where `onFailure` takes that. */
function attempt<V>(
  file: string,
  step: Step<V>,
  inputs: readonly (Value | undefined)[],
  context: Context,
  onFailure: RunOptions<V>["onFailure"],
): readonly Value[] | undefined {
  try {
    return perform(file, step, inputs, context);
  } catch (error) {
    if (!onFailure || !(error instanceof UserError)) throw error;
    onFailure(step, error);
    return undefined;
  }
}

/** Shapes that a message lists. */
const shownShapes = 6;

function perform<V>(
  file: string,
  step: Step<V>,
  inputs: readonly (Value | undefined)[],
  context: Context,
): readonly Value[] {
  try {
    const values = scope(() => {
      const made = step.run(inputs, context);
      return made instanceof Tensor || made instanceof HostArray ? [made] : made;
    });
    if (values.length < step.outputs.length) {
      throw new UserError(`it has ${step.outputs.length} outputs, but its operator makes ${values.length}`);
    }
    for (const { shape } of values) context.allow(shape);
    return values;
  } catch (error) {
    const isUsers = error instanceof UserError;
    if (!isUsers && !(error instanceof TorchError || error instanceof RangeError)) throw error;
    // Attributes and operators of some formats name the file and the node themselves.
    if (isUsers && error.message.startsWith(file)) throw error;
    const shapes = inputs.slice(0, shownShapes).map((value) => (value ? shapeText(value.shape) : "nothing"));
    const where = `${file}: ${step.label} ${isUsers ? "on" : "cannot take"} ${shapes.join(", ")}`;
    const text = `${where}: ${reasonOf(error.message.split("\n")[0] ?? "")}`;
    // Thousands of steps may fail for the same reason: what it was about is enough.
    if (error instanceof OverBudget) throw new OverBudget(text);
    throw isUsers ? new UserError(text) : new UserError(text, { cause: error });
  }
}

/** The values that are held; a tensor may stand under several names. */
class Live<V> {
  readonly #budget: Budget;
  readonly #values = new Map<V, Value>();
  readonly #holders = new Map<Tensor, number>();
  /** Tensors of the run itself. */
  readonly #own = new Set<Tensor>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get(name: V): Value | undefined {
    return this.#values.get(name);
  }

  add(name: V, value: Value, isNew: boolean): void {
    this.#values.set(name, value);
    if (!(value instanceof Tensor)) return;
    this.#holders.set(value, (this.#holders.get(value) ?? 0) + 1);
    if (!isNew || value.kept || this.#own.has(value)) return;
    this.#own.add(value);
    this.#budget.hold(sizeOf(value.shape));
  }

  release(name: V): void {
    const value = this.#values.get(name);
    this.#values.delete(name);
    if (!(value instanceof Tensor)) return;
    const left = (this.#holders.get(value) ?? 1) - 1;
    this.#holders.set(value, left);
    if (left > 0 || !this.#own.delete(value)) return;
    this.#budget.release(sizeOf(value.shape));
    value.dispose();
  }
}

/** The places of the images in the values of a run whose batch is not the file's. */
class Places<V> {
  readonly #batch: Batch;
  readonly #shapes: FixedBatch<V>["shapes"];
  readonly #outers = new Map<V, number>();

  constructor({ declared, shapes }: FixedBatch<V>, actual: number) {
    this.#batch = { declared, actual };
    this.#shapes = shapes;
  }

  #shapesOf(names: readonly (V | undefined)[]): (readonly number[])[] {
    return names.map((name) => (name === undefined ? undefined : this.#shapes.get(name)) ?? []);
  }

  #outerOf(name: V | undefined): number {
    return (name === undefined ? undefined : this.#outers.get(name)) ?? 1;
  }

  before({ inputs, outputs }: Step<V>): Reference {
    const outers = inputs.map((name) => this.#outerOf(name));
    return { batch: this.#batch, inputs: this.#shapesOf(inputs), outputs: this.#shapesOf(outputs), outers };
  }

  /** A step keeps the outer parts of its inputs as long as the dimension of the images keeps its size. */
  after(step: Step<V>, said: number | undefined, inputs: readonly (Value | undefined)[], made: readonly Value[]): void {
    const sideOf = (name: V | undefined, value: Value | undefined): number | undefined => {
      const fixed = name === undefined ? undefined : this.#shapes.get(name);
      const dim = fixed && value && batchDim(value.shape, fixed, this.#batch);
      return dim === undefined ? undefined : fixed?.[dim];
    };
    for (const [i, name] of step.outputs.entries()) {
      if (name === undefined) continue;
      const side = sideOf(name, made[i]);
      const from = step.inputs.find((input, k) => this.#outerOf(input) > 1 && sideOf(input, inputs[k]) === side);
      const outer = said ?? this.#outerOf(from);
      if (outer > 1) this.#outers.set(name, outer);
    }
  }
}
