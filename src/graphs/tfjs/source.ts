/** A TensorFlow.js model as the search for features sees it, and ready to run. */
import { type Part, type Structure, varyingIn } from "../features.ts";
import type { GraphFile, Network } from "../network.ts";
import { needed } from "../program.ts";
import type { Parameters } from "./parameters.ts";
import type { Parsed } from "./step.ts";

export function fileOf(parsed: Parsed, parameters: Parameters, files: readonly string[]): GraphFile<string> {
  const { file, images, channel, steps } = parsed;
  const made = new Set(steps.flatMap(({ outputs }) => outputs));
  return {
    file,
    files,
    structure: structureOf(parsed, parameters),
    images,
    channel,
    nameOf: (value) => value,
    valueOf: (name) => (made.has(name) ? name : undefined),
    build: () => networkOf(parsed, parameters),
  };
}

function structureOf({ steps, images, outputs }: Parsed, parameters: Parameters): Structure<string> {
  const varying = varyingIn(steps, images.name);
  const parts = steps.map(({ kind, inputs, outputs: made, isLayer, isActivated, problem, weights }): Part<string> => {
    // Weights are values of their own here; a space before keeps them apart from tensors.
    const own = weights.map((name) => ` ${name}`);
    return { kind, inputs: [...inputs, ...own], outputs: made, isLayer, isActivated, problem };
  });
  return {
    parts,
    outputs,
    varies: (value) => varying.has(value),
    elements: (value) => (value.startsWith(" ") ? parameters.elements(value.slice(1)) : 0),
  };
}

/** Weights were read with the description; steps hold theirs. */
function networkOf(parsed: Parsed, parameters: Parameters): Network<string> {
  const { file, steps, images } = parsed;
  return {
    file,
    steps,
    input: images.name,
    constant: () => undefined,
    parameters: parameters.trained,
    buffers: parameters.fixed,
    norms: parameters.norms,
    narrowed: (wanted) => {
      const left = needed(steps, wanted);
      parameters.keepOnly(
        new Set(left.flatMap(({ weights }) => weights)),
        new Set(left.flatMap(({ norm }) => norm ?? [])),
      );
      return networkOf({ ...parsed, steps: left }, parameters);
    },
    release: () => {
      for (const tensor of parameters.held) tensor.dispose();
    },
    dispose: () => parameters.dispose(),
  };
}
