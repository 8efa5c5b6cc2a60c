/**
 * An ONNX graph with its names resolved: nodes in an order in which they can run, values numbered by slots. Nodes that
 * only pass their input on (Identity, and Dropout as in evaluation) are gone.
 */
import { quoted, shown } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { Links } from "../features.ts";
import { topological } from "../topological.ts";
import { HostArray, isFloating, sizeOf } from "../values.ts";
import { Attributes } from "./attributes.ts";
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from "./onnx-pb.generated.ts";
import { constantOf, dtypeOf, type TensorInfo, TensorReader } from "./tensors.ts";
import type { ByteRange } from "./wire.ts";

export interface GraphNode extends Links<number> {
  readonly op: string;
  /** Name of the node in messages. */
  readonly label: string;
  readonly attributes: Attributes;
  /** Value with which a ConstantOfShape fills its tensors. */
  readonly filling: HostArray | undefined;
}

/** A constant of the file: an array in a node, or a tensor that is not read yet. */
export type Constant = HostArray | TensorInfo;

export interface Graph {
  readonly path: string;
  readonly opset: number;
  /** Names by slot. */
  readonly names: readonly string[];
  readonly nodes: readonly GraphNode[];
  readonly constants: ReadonlyMap<number, Constant>;
  /** Why a value cannot be had: a constant of strings or without its file, an input that holds no images. */
  readonly problems: ReadonlyMap<number, string>;
  readonly input: { readonly slot: number; readonly info: ValueInfoProto };
  readonly outputs: readonly number[];
  /** Finds the slot of a tensor's name. */
  readonly slotOf: (name: string) => number | undefined;
  readonly files: readonly string[];
}

/** The operator sets whose operators keep the meaning that this reader gives them. */
const opsets = { first: 7, last: 24 };
/** The deepest published image networks have a tenth of this. */
const maximumNodes = 50_000;

/**
 * Resolves the graph of a model.
 * @throws UserError naming the file, and the node or tensor, for whatever the format does not allow
 */
export function resolveGraph(path: string, model: ModelProto, rawData: readonly (ByteRange | undefined)[]): Graph {
  return new Resolver(path, model, rawData).graph;
}

class Resolver {
  readonly graph: Graph;
  readonly #path: string;
  readonly #names: string[] = [];
  readonly #slots = new Map<string, number>();
  readonly #constants = new Map<number, Constant>();
  readonly #problems = new Map<number, string>();
  readonly #reader: TensorReader;

  constructor(path: string, model: ModelProto, rawData: readonly (ByteRange | undefined)[]) {
    this.#path = path;
    const proto = model.graph as GraphProto;
    const opset = this.#opset(model);
    if (proto.node.length === 0) this.#fail("its graph has no nodes");
    if (proto.node.length > maximumNodes) this.#fail(`its graph has ${proto.node.length} nodes, over ${maximumNodes}`);
    if (proto.sparseInitializer.length > 0) this.#fail("sparse tensors are not supported");
    this.#reader = new TensorReader(path);
    for (const [i, tensor] of proto.initializer.entries()) {
      const slot = this.#define(tensor.name, "initializer");
      this.#hold(slot, () => this.#reader.describe(tensor, rawData[i]));
    }
    const input = this.#input(proto);
    const nodes: GraphNode[] = [];
    const positions = new Map(proto.node.map((node, i) => [node, i]));
    for (const node of this.#ordered(proto)) {
      const resolved = this.#node(node, positions.get(node) ?? 0);
      if (resolved) nodes.push(resolved);
    }
    if (proto.output.length === 0) this.#fail("its graph has no outputs");
    const outputs = proto.output.map(({ name }) => {
      return this.#slots.get(name) ?? this.#fail(`the graph's output ${quoted(name)} is made by no node`);
    });
    const slotOf = (name: string): number | undefined => this.#slots.get(name);
    const files = this.#reader.files;
    const [names, constants, problems] = [this.#names, this.#constants, this.#problems];
    this.graph = { path, opset, names, nodes, constants, problems, input, outputs, slotOf, files };
  }

  /** A constant that cannot be read is a problem only where it is needed. */
  #hold(slot: number, read: () => Constant): void {
    try {
      this.#constants.set(slot, read());
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#problems.set(slot, error.message);
    }
  }

  #opset(model: ModelProto): number {
    if (model.functions.length > 0) {
      const names = model.functions.slice(0, 3).map(({ name }) => shown(name));
      this.#fail(`it has functions (${names.join(", ")}): inline them first, for instance with onnx.inliner`);
    }
    const versions = model.opsetImport.filter(({ domain }) => isStandard(domain)).map(({ version }) => Number(version));
    const version = versions[0] ?? this.#fail("it does not say which operator set it uses");
    if (versions.length > 1) this.#fail("it names the operator set twice");
    if (version < opsets.first || version > opsets.last) {
      this.#fail(
        `it uses operator set ${version}; ${opsets.first} to ${opsets.last} are supported: export it with one`,
      );
    }
    return version;
  }

  #input(proto: GraphProto): { slot: number; info: ValueInfoProto } {
    // Up to IR version 3 initializers are listed as inputs too.
    const inputs = proto.input.filter(({ name }) => !this.#slots.has(name));
    const [first] = inputs;
    if (!first) return this.#fail("its graph takes no input; a network that takes images is needed");
    const [info = first, ...more] = inputs.length === 1 ? inputs : inputs.filter(mayBeImages);
    if (more.length > 0 || (inputs.length > 1 && !mayBeImages(info))) {
      const names = inputs.slice(0, 5).map(({ name }) => quoted(name));
      this.#fail(`its graph takes ${inputs.length} inputs (${names.join(", ")}); one that takes only images is needed`);
    }
    for (const { name } of inputs.filter((other) => other !== info)) {
      const why = `its input ${quoted(name)} holds no images, but a member of a hub sees nothing else`;
      this.#problems.set(this.#define(name, "input"), `${this.#path} cannot be used as a network: ${why}`);
    }
    return { slot: this.#define(info.name, "input"), info };
  }

  #define(name: string, what: string): number {
    if (name === "") this.#fail(`an ${what} has no name`);
    if (this.#slots.has(name)) this.#fail(`two things of its graph define the tensor ${quoted(name)}`);
    const slot = this.#names.push(name) - 1;
    this.#slots.set(name, slot);
    return slot;
  }

  /** The nodes, each after those whose outputs it reads; files that follow the format are so already. */
  #ordered(proto: GraphProto): NodeProto[] {
    const producers = new Map<string, NodeProto>();
    for (const node of proto.node) {
      for (const name of node.output.filter((name) => name !== "")) {
        if (this.#slots.has(name) || producers.has(name))
          this.#fail(`two things of its graph define the tensor ${quoted(name)}`);
        producers.set(name, node);
      }
    }
    const sources = (node: NodeProto): NodeProto[] => node.input.flatMap((name) => producers.get(name) ?? []);
    const { ordered, stuck: all } = topological(proto.node, sources);
    const [stuck] = all;
    if (stuck)
      this.#fail(
        `the nodes around ${quoted(stuck.output[0] ?? "")} (${shown(stuck.opType)}) wait for each other in a circle`,
      );
    return ordered;
  }

  #node(proto: NodeProto, index: number): GraphNode | undefined {
    const op = isStandard(proto.domain) ? proto.opType : `${proto.domain}.${proto.opType}`;
    const label = `node ${proto.name === "" ? index : quoted(proto.name)} (${shown(op)})`;
    const fail = (what: string): never => this.#fail(`${label} ${what}`);
    const inputs = proto.input.map((name) => {
      return name === "" ? undefined : (this.#slots.get(name) ?? fail(`reads ${quoted(name)}, which nothing defines`));
    });
    const attributes = new Attributes(proto.attribute, fail);
    const first = proto.output[0];
    if (first === undefined) return fail("has no output");
    if (op === "Constant") {
      this.#hold(this.#define(first, "output"), () => this.#constant(attributes, first, fail));
      return undefined;
    }
    const passes = op === "Identity" || (op === "Dropout" && proto.output.slice(1).every((name) => name === ""));
    if (passes && first !== "") {
      this.#slots.set(first, inputs[0] ?? fail("has no input"));
      return undefined;
    }
    const outputs = proto.output.map((name) => (name === "" ? undefined : this.#define(name, "output")));
    const filling = op === "ConstantOfShape" ? this.#filling(attributes, fail) : undefined;
    return { op, label, inputs, outputs, attributes, filling };
  }

  #filling(attributes: Attributes, fail: (what: string) => never): HostArray {
    const tensor = attributes.tensor("value");
    if (!tensor) return new HostArray("float", [], [0]);
    const info = this.#reader.describe(tensor);
    if (sizeOf(info.shape) !== 1) fail("is filled with something else than one number");
    const value = constantOf(info);
    return value instanceof HostArray ? value : fail("is filled with something else than one number");
  }

  #constant(attributes: Attributes, name: string, fail: (what: string) => never): Constant {
    const tensor = attributes.tensor("value");
    if (tensor) {
      tensor.name = name;
      return this.#reader.describe(tensor);
    }
    const float = attributes.float("value_float");
    if (float !== undefined) return new HostArray("float", [], [float]);
    const int = attributes.int("value_int");
    if (int !== undefined) return new HostArray("int", [], [int]);
    const floats = attributes.floats("value_floats");
    if (floats) return new HostArray("float", [floats.length], floats);
    const ints = attributes.ints("value_ints");
    if (ints) return new HostArray("int", [ints.length], ints);
    return fail("has no value that is a tensor or numbers");
  }

  #fail(what: string): never {
    throw new UserError(`${this.#path} cannot be used as a network: ${what}`);
  }
}

export function isStandard(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

/** True when an input's type allows images. */
function mayBeImages({ type }: ValueInfoProto): boolean {
  if (type?.value.case !== "tensorType") return false;
  const { elemType, shape } = type.value.value;
  const dtype = dtypeOf(elemType);
  return dtype !== undefined && isFloating(dtype) && (shape === undefined || shape.dim.length === 4);
}
