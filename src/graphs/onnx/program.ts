/** The part of a network that certain values need, run with every other value released after its last use. */
import { quoted } from "../../io/index.ts";
import { Tensor, UserError } from "../../torch/index.ts";
import type { Batch, Reference } from "../batch.ts";
import { batchDim } from "../batch.ts";
import { Budget } from "../budget.ts";
import { sizeOf, type Value } from "../values.ts";
import { Call, type Run } from "./call.ts";
import { execute } from "./execute.ts";
import { absent, type GraphNode } from "./graph.ts";
import { type Network, neededNodes } from "./network.ts";

/** Shapes by slot. */
export type Shapes = ReadonlyMap<number, readonly number[]>;

export interface RunOptions {
  /** For a file that fixes its batch, all shapes of a run with that batch. */
  readonly reference?: { readonly shapes: Shapes; readonly declared: number } | undefined;
  readonly watch?: ((slot: number, value: Value) => void) | undefined;
  /** Takes the error of a node that cannot run: the run goes on without what it would have made. */
  readonly onFailure?: ((node: GraphNode, error: UserError) => void) | undefined;
}

/** Operators whose backward pass does not need their result, so that the next node may overwrite it. */
const overwritable: ReadonlySet<string> = new Set([
  "Conv",
  "ConvTranspose",
  "BatchNormalization",
  "Gemm",
  "MatMul",
  "Add",
]);

interface Step {
  readonly node: GraphNode;
  /** Slots whose last use this is. */
  readonly releases: readonly number[];
  readonly mayOverwrite: boolean;
}

export class Program {
  readonly #network: Network;
  readonly #wanted: readonly number[];
  readonly #steps: readonly Step[];
  /** Slots that depend on the images. */
  readonly #varying: ReadonlySet<number>;

  constructor(network: Network, wanted: readonly number[]) {
    this.#network = network;
    this.#wanted = wanted;
    const nodes = neededNodes(network.nodes, wanted);
    const varying = new Set([network.graph.input.slot]);
    for (const { inputs, outputs } of nodes) {
      if (inputs.some((slot) => varying.has(slot))) for (const slot of outputs) varying.add(slot);
    }
    varying.delete(absent);
    this.#varying = varying;
    this.#steps = stepsOf(nodes, new Set(wanted), varying);
  }

  /**
   * The wanted values for images [n, ...]; they pass to the scope of the caller.
   * @throws UserError naming the node that cannot take its inputs, or goes over the limits
   */
  run(images: Tensor, options: RunOptions = {}): Value[] {
    const { graph, parameters, constants, norms } = this.#network;
    const { reference, watch, onFailure } = options;
    const { dtype, device } = images;
    const n = images.size(0);
    const batch = reference && reference.declared !== n ? { declared: reference.declared, actual: n } : undefined;
    const run: Run = {
      path: graph.path,
      opset: graph.opset,
      floating: dtype,
      device,
      budget: new Budget(n, sizeOf(images.shape.slice(1)) / 3),
      batch,
      isConstant: (slot) => !this.#varying.has(slot),
      tensorOf: (array) => constants.tensorOf(array, dtype, device),
    };
    const live = new Live(run.budget);
    live.add(graph.input.slot, images, false);
    watch?.(graph.input.slot, images);
    const places = new Places(batch, reference?.shapes);
    const find = (slot: number): Value | undefined =>
      live.get(slot) ?? parameters.get(slot) ?? constants.get(slot, dtype, device);
    for (const { node, releases, mayOverwrite } of this.#steps) {
      const inputs = node.inputs.map(find);
      const norm = norms.get(node)?.layer;
      const call = new Call(node, run, inputs, { norm, mayOverwrite, reference: places.before(node) });
      const values = onFailure ? attempt(call, onFailure) : execute(call);
      for (const [i, slot] of node.outputs.entries()) {
        const value = values[i];
        if (slot === absent || !value) continue;
        live.add(slot, value, !inputs.includes(value));
        watch?.(slot, value);
      }
      places.after(node, call, values);
      for (const slot of releases) live.release(slot);
    }
    return this.#wanted.flatMap((slot) => {
      const value = find(slot);
      if (value) return value;
      if (onFailure) return [];
      throw new UserError(`${graph.path}: nothing makes ${quoted(graph.names[slot] ?? "")}`);
    });
  }
}

/** No values for a node that cannot run, or that reads what such a node should have made. */
function attempt(call: Call, onFailure: (node: GraphNode, error: UserError) => void): readonly Value[] {
  const { node, inputs, norm } = call;
  // A layer holds its statistics itself.
  const read = norm ? inputs.slice(0, 1) : inputs;
  if (read.some((value, i) => value === undefined && node.inputs[i] !== absent)) return [];
  try {
    return execute(call);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    onFailure(node, error);
    return [];
  }
}

function stepsOf(nodes: readonly GraphNode[], kept: ReadonlySet<number>, varying: ReadonlySet<number>): Step[] {
  const readers = new Map<number, number>();
  const producers = new Map<number, GraphNode>();
  for (const node of nodes) {
    for (const slot of node.inputs) readers.set(slot, (readers.get(slot) ?? 0) + 1);
    for (const slot of node.outputs) producers.set(slot, node);
  }
  const seen = new Set<number>([absent, ...kept]);
  const steps: Step[] = [];
  for (const node of nodes.toReversed()) {
    const releases = [...new Set([...node.inputs, ...node.outputs])].filter((slot) => !seen.has(slot));
    for (const slot of releases) seen.add(slot);
    const [first = absent] = node.inputs;
    const from = producers.get(first)?.op ?? "";
    const mayOverwrite = varying.has(first) && !kept.has(first) && readers.get(first) === 1 && overwritable.has(from);
    steps.push({ node, releases, mayOverwrite });
  }
  return steps.reverse();
}

/** The values that are held; a tensor may stand in several slots. */
class Live {
  readonly #budget: Budget;
  readonly #values = new Map<number, Value>();
  readonly #holders = new Map<Tensor, number>();
  /** Tensors of the run itself. */
  readonly #own = new Set<Tensor>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get(slot: number): Value | undefined {
    return this.#values.get(slot);
  }

  add(slot: number, value: Value, isNew: boolean): void {
    this.#values.set(slot, value);
    if (!(value instanceof Tensor)) return;
    this.#holders.set(value, (this.#holders.get(value) ?? 0) + 1);
    if (!isNew || value.kept) return;
    this.#own.add(value);
    this.#budget.hold(sizeOf(value.shape));
  }

  release(slot: number): void {
    const value = this.#values.get(slot);
    this.#values.delete(slot);
    if (!(value instanceof Tensor)) return;
    const left = (this.#holders.get(value) ?? 1) - 1;
    this.#holders.set(value, left);
    if (left > 0 || !this.#own.delete(value)) return;
    this.#budget.release(sizeOf(value.shape));
    value.dispose();
  }
}

/** Where the images lie in the values of a run whose batch is not the file's. */
class Places {
  readonly #batch: Batch | undefined;
  readonly #shapes: Shapes;
  readonly #outers = new Map<number, number>();

  constructor(batch: Batch | undefined, shapes: Shapes | undefined) {
    this.#batch = batch;
    this.#shapes = shapes ?? new Map();
  }

  before(node: GraphNode): Reference | undefined {
    if (!this.#batch) return undefined;
    const shapesOf = (slots: readonly number[]): (readonly number[])[] =>
      slots.map((slot) => this.#shapes.get(slot) ?? []);
    const outers = node.inputs.map((slot) => this.#outers.get(slot) ?? 1);
    return { inputs: shapesOf(node.inputs), outputs: shapesOf(node.outputs), outers };
  }

  /** A node keeps the outer parts of its inputs as long as the dimension of the images keeps its size. */
  after(node: GraphNode, call: Call, values: readonly Value[]): void {
    const batch = this.#batch;
    if (!batch) return;
    const sideOf = (slot: number, value: Value | undefined): number | undefined => {
      const fixed = this.#shapes.get(slot);
      const dim = fixed && value && batchDim(value.shape, fixed, batch);
      return dim === undefined ? undefined : fixed?.[dim];
    };
    for (const [i, slot] of node.outputs.entries()) {
      const side = sideOf(slot, values[i]);
      const from = node.inputs.find(
        (input, k) => (this.#outers.get(input) ?? 1) > 1 && sideOf(input, call.inputs[k]) === side,
      );
      const outer = call.outer ?? (from === undefined ? 1 : this.#outers.get(from));
      if (outer !== undefined && outer > 1) this.#outers.set(slot, outer);
    }
  }
}
