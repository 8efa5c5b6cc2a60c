/** The nodes of a GraphDef, checked: which tensors they read, and the part that the outputs need. */
import { quoted, shown } from "../../../io/index.ts";
import { UserError } from "../../../torch/index.ts";
import { topological } from "../../topological.ts";
import { Fields, isRecord } from "../json.ts";
import { maximumSteps } from "../step.ts";
import { Attributes, shapeOf } from "./attributes.ts";

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  /** Tensors: "node", or "node:k" for a further output. */
  readonly inputs: readonly string[];
  readonly attributes: Attributes;
}

export interface Graph {
  /** Nodes that the outputs need, each after those that it reads. */
  readonly nodes: readonly GraphNode[];
  /** Nodes that wait for each other in a circle, as loops do, or for such a node. */
  readonly stuck: readonly GraphNode[];
  readonly outputs: readonly string[];
  readonly inputShape: readonly number[] | undefined;
}

const maximumInputs = 10_000;

/** @throws UserError naming the node: wrong types, unknown inputs, doubled names */
export function parseGraph(json: Record<string, unknown>, file: string): Graph {
  const topology = new Fields(json["modelTopology"], `${file}, "modelTopology"`);
  const all = new Map<string, GraphNode>();
  for (const value of topology.list("node")) {
    const node = parseNode(value, file);
    if (all.has(node.name)) throw new UserError(`${file}: two nodes are called ${quoted(node.name)}`);
    all.set(node.name, node);
  }
  const signature = signatureOf(json);
  const outputs = signature ? namesIn(signature["outputs"], file) : [];
  if (outputs.length === 0) outputs.push(...unread(all));
  const read = (node: GraphNode): GraphNode[] => node.inputs.map((input) => producer(all, input, node.name, file));
  const needed = new Set(outputs.map((output) => producer(all, output, "the model's output", file)));
  for (const node of needed) for (const input of read(node)) needed.add(input);
  if (needed.size > maximumSteps) throw new UserError(`${file} has more than ${maximumSteps} nodes`);
  const { ordered: nodes, stuck } = topological([...needed], read);
  return { nodes, stuck, outputs, inputShape: signature ? signatureShape(signature, file) : undefined };
}

function parseNode(value: unknown, file: string): GraphNode {
  const fields = new Fields(value, `${file}, a node`);
  const name = fields.string("name");
  const op = fields.string("op");
  if (name === "" || name === "__proto__") fields.fail(`the name ${quoted(name)} is not valid`);
  const node = new Fields(value, `${file}, node ${quoted(name)}`);
  const inputs = node.list("input", []);
  if (inputs.length > maximumInputs) node.fail(`it has ${inputs.length} inputs`);
  const data = inputs.flatMap((input) => {
    if (typeof input !== "string") return node.fail(`its input ${quoted(input)} is no name`);
    return input.startsWith("^") ? [] : [canonical(input, (what) => node.fail(what))];
  });
  const attributes = new Attributes(node.raw("attr"), `${file}: ${shown(op)} ${quoted(name)}`);
  return { name, op, inputs: data, attributes };
}

/** "node:0" and "node" are the same. */
function canonical(name: string, fail: (what: string) => never): string {
  const [node = "", index, ...rest] = name.split(":");
  if (index === undefined || index === "0")
    return rest.length === 0 ? node : fail(`the input ${quoted(name)} is not valid`);
  if (rest.length > 0 || !/^[1-9]\d{0,4}$/.test(index)) return fail(`the input ${quoted(name)} is not valid`);
  return name;
}

function producer(all: ReadonlyMap<string, GraphNode>, tensor: string, reader: string, file: string): GraphNode {
  const node = all.get(tensor.split(":")[0] ?? "");
  if (!node) throw new UserError(`${file}: ${quoted(reader)} reads ${quoted(tensor)}, which no node makes`);
  return node;
}

/** Nodes that nobody reads, when no signature says which the outputs are. */
function unread(all: ReadonlyMap<string, GraphNode>): string[] {
  const read = new Set([...all.values()].flatMap((node) => node.inputs.map((input) => input.split(":")[0])));
  const silent = new Set(["Const", "NoOp", "Placeholder", "Assert"]);
  return [...all.values()].filter((node) => !read.has(node.name) && !silent.has(node.op)).map((node) => node.name);
}

function signatureOf(json: Record<string, unknown>): Record<string, unknown> | undefined {
  const metadata = json["userDefinedMetadata"];
  const own = isRecord(metadata) ? metadata["signature"] : undefined;
  const signature = isRecord(own) ? own : json["signature"];
  return isRecord(signature) ? signature : undefined;
}

function namesIn(entries: unknown, file: string): string[] {
  if (!isRecord(entries)) return [];
  return Object.values(entries).map((entry) => {
    const fields = new Fields(entry, `${file}, the signature`);
    return canonical(fields.string("name"), (what) => fields.fail(what));
  });
}

function signatureShape(signature: Record<string, unknown>, file: string): number[] | undefined {
  const inputs = signature["inputs"];
  const [only, ...more] = isRecord(inputs) ? Object.values(inputs) : [];
  if (!isRecord(only) || more.length > 0 || !isRecord(only["tensorShape"])) return undefined;
  return shapeOf(only["tensorShape"], (value) => {
    throw new UserError(`${file}: the signature has the size ${quoted(value)}`);
  });
}
