/** A network as an ONNX model: one forward pass recorded, and each of its operators written. */
import { counted, shown } from "../io/index.ts";
import { evaluating } from "../models/index.ts";
import { Module } from "../nn/index.ts";
import { disposeTree, Tensor, UserError } from "../torch/index.ts";
import { Call, Unwritable } from "./call.ts";
import { GraphBuilder, type Name } from "./graph-builder.ts";
import { writerOf } from "./onnx-ops/index.ts";
import type { Outputs } from "./recording.ts";
import { foldNorms, neededCalls } from "./simplify.ts";
import { type Trace, type TracedCall, trace, type Value } from "./trace.ts";

/** A function of a batch: one result, or several by their names. */
export type Exportable = (batch: Tensor) => Tensor | Outputs;

export interface OnnxExportOptions {
  /** Name of the network in messages and of the graph; default "network". */
  name?: string | undefined;
  /** Name of the input; default "input". */
  input?: string | undefined;
  /** Name of a single result; default "output". */
  output?: string | undefined;
  /** Modules that a function runs, which are in evaluation mode meanwhile; their weights keep their names behind the key. */
  modules?: Readonly<Record<string, Module>> | undefined;
}

/**
 * A model in ONNX of what a module, or a function of tensors, computes from a batch in evaluation mode: any number of rows,
 * all other sizes those of the example. Weights are initializers under the names of the state dict.
 *
 * It writes the operators of one run. What JavaScript decides by sizes is decided as for the example; what it decides by
 * the elements of tensors is not seen.
 * @param example a batch of one row or more, of the sizes that the model will take
 * @throws UserError listing every operator that ONNX has no form for
 */
export function exportOnnx(network: Module | Exportable, example: Tensor, options: OnnxExportOptions = {}): Uint8Array {
  const { name = "network", input = "input", output = "output" } = options;
  const modules = network instanceof Module ? { "": network } : (options.modules ?? {});
  const run: Exportable = network instanceof Module ? (batch) => network.forward(batch) : network;
  const forward = (batch: Tensor): Outputs => {
    const result = run(batch);
    return result instanceof Tensor ? { [output]: result } : result;
  };
  const names = new Map<Tensor, string>();
  for (const [prefix, module] of Object.entries(modules)) {
    const start = prefix === "" ? "" : `${prefix}.`;
    for (const [key, tensor] of module.stateDict()) if (!names.has(tensor)) names.set(tensor, start + key);
  }
  const copies: Tensor[] = [];
  try {
    const traced = allEvaluating(Object.values(modules), () => trace(name, forward, example, names, copies));
    return written(name, input, traced, copies);
  } finally {
    disposeTree(copies);
  }
}

function allEvaluating<T>(modules: readonly Module[], fn: () => T): T {
  const [first, ...rest] = modules;
  return first ? evaluating(first, () => allEvaluating(rest, fn)) : fn();
}

function written(network: string, input: string, traced: Trace, copies: Tensor[]): Uint8Array {
  const graph = new GraphBuilder(input, [...traced.outputs.keys()]);
  const calls = foldNorms(neededCalls(traced), new Set(traced.outputs.values()), copies);
  const names = new Map<Value, Name>([[traced.input, graph.input]]);
  const problems = new Set<string>();
  for (const call of calls) {
    const problem = write(graph, call, names);
    if (problem !== undefined) problems.add(`${call.operator}${problem === "" ? "" : ` (${problem})`}`);
  }
  if (problems.size > 0) {
    const what = counted(problems.size, "operator that ONNX has no form for", "operators that ONNX has no form for");
    throw new UserError(`${network} cannot be exported, it calls ${what}: ${[...problems].map(shown).join(", ")}`);
  }
  const outputs = Array.from(traced.outputs, ([name, value]) => {
    const from = value.content ? graph.tensor(value.content, "constant") : (names.get(value) as Name);
    return { name, from, value };
  });
  return graph.finish(network, traced.input, outputs);
}

/** Adds a call's nodes and names its results. @returns why it cannot be written; "" where there is no more to say */
function write(graph: GraphBuilder, call: TracedCall, names: Map<Value, Name>): string | undefined {
  const { operator, results, problem } = call;
  let made: readonly Name[] = [];
  let failure = problem;
  const writer = writerOf(operator);
  try {
    graph.prefix = operator.replace(/^\w+::|_?(\..*)?$/g, "");
    if (failure === undefined && writer) made = [writer(new Call(graph, call, names))].flat();
  } catch (error) {
    if (!(error instanceof Unwritable)) throw error;
    failure = error.message;
  }
  // After a failure the names stand for what is missing, so that all other operators are tried too.
  for (const [i, result] of results.entries()) names.set(result, made[i] ?? "");
  return failure ?? (writer ? undefined : "");
}
