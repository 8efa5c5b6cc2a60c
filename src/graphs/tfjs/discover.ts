/** Looks into a network: which of its tensors serve as features and scores, found by its structure and by one run. */
import { listed, quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { ancestors, measuring, type Part, producersOf, proposalsOf, type Structure } from "../features.ts";
import { arranged, type GraphInput, type Sides } from "../graph-model.ts";
import { type Found, findFeatures } from "../probe.ts";
import { type Network, Program, type Step } from "../program.ts";
import { Budget } from "./guard.ts";
import type { Parameters } from "./parameters.ts";

/** Outputs that are looked at as scores. */
const maximumOutputs = 64;

/**
 * Chooses features and scores, and releases the weights that they do not need.
 * @throws UserError when nothing can serve as features, or what is needed cannot be run
 */
export function discover(
  network: Network,
  parameters: Parameters,
  file: string,
  input: GraphInput,
  wish: string | undefined,
  sides: Sides,
): Found<string> {
  const structure = structureOf(network, parameters);
  const producers = producersOf(structure.parts);
  const wished = wish === undefined ? undefined : { name: quoted(wish), value: producers.has(wish) ? wish : undefined };
  const proposals = proposalsOf(structure);
  const usable = proposals.filter(({ runs }) => runs);
  if (wished?.value !== undefined) refuseBroken(network, structure, [wished.value], file);
  else if (usable.length === 0) {
    const needed = proposals.length > 0 ? proposals.map(({ value }) => value) : network.outputs;
    refuseBroken(network, structure, needed, file);
  }
  const runs = (output: string): boolean =>
    [...ancestors([output], producers)].every((v) => producers.get(v)?.runs ?? true);
  const outputs = network.outputs.slice(0, maximumOutputs).filter(runs);
  const wanted = new Set([...usable.map(({ value }) => value), ...outputs]);
  if (wished?.value !== undefined) wanted.add(wished.value);
  const program = new Program({ file, steps: network.steps }, [...wanted]);
  const [batch = -1] = network.inputShape;
  const found = findFeatures({
    file,
    structure,
    proposals: usable,
    wish: wished,
    // Files say a batch of one without meaning it.
    batch: batch > 1 ? batch : undefined,
    sides,
    channel: network.channel,
    name: (value: string) => quoted(value),
    run: (probed, { made, failed }) => {
      const images = arranged(probed, input, file);
      const guard = new Budget(probed.size(0));
      program.run(new Map([[network.input, images]]), guard, {
        onFailure: (step, error) => {
          for (const output of step.outputs) failed(output, error);
        },
        watch: (step, tensors) => {
          for (const [i, tensor] of tensors.entries()) {
            made(step.outputs[i] ?? "", tensor.shape, tensor.dtype === "float32" ? tensor : undefined);
          }
        },
      });
    },
  });
  const kept = ancestors([found.features, ...(found.scores === undefined ? [] : [found.scores])], producers);
  const steps = network.steps.filter((step) => step.outputs.some((output) => kept.has(output)));
  parameters.keepOnly(
    new Set(steps.flatMap(({ weights }) => weights)),
    new Set(steps.flatMap(({ norm }) => norm ?? [])),
  );
  return found;
}

function structureOf({ steps, input, outputs }: Network, parameters: Parameters): Structure<string> {
  const readers = new Map<string, Step[]>();
  for (const step of steps) {
    for (const name of step.inputs) {
      const list = readers.get(name);
      if (list) list.push(step);
      else readers.set(name, [step]);
    }
  }
  const varying = new Set([input]);
  for (const value of varying) {
    const reading = (readers.get(value) ?? []).filter(({ kind }) => !measuring.has(kind));
    for (const step of reading) for (const output of step.outputs) varying.add(output);
  }
  const parts = steps.map((step): Part<string> => {
    const { kind, inputs, outputs: made, isLayer, isActivated, problem, weights } = step;
    // Weights are values of their own here; a space before keeps them apart from tensors.
    const own = weights.map((name) => ` ${name}`);
    return { kind, inputs: [...inputs, ...own], outputs: made, isLayer, isActivated, runs: problem === undefined };
  });
  return {
    parts,
    outputs,
    varies: (value) => varying.has(value),
    elements: (value) => (value.startsWith(" ") ? parameters.elements(value.slice(1)) : 0),
  };
}

/** @throws UserError for all kinds of steps that are not supported, or for the first that cannot run */
function refuseBroken({ steps }: Network, { parts }: Structure<string>, wanted: readonly string[], file: string): void {
  const needed = ancestors(wanted, producersOf(parts));
  const broken = steps.filter((step) => step.problem && step.outputs.some((output) => needed.has(output)));
  const unsupported = [...new Set(broken.flatMap(({ problem, kind }) => (problem?.isUnsupported ? kind : [])))].sort();
  if (unsupported.length > 0) {
    throw new UserError(`${file} needs operators or layers that are not supported: ${listed(unsupported)}`);
  }
  const [first] = broken;
  if (first?.problem) throw first.problem.error;
}
