/** Which tensor of a network serves as features. */
import { UserError } from "../../torch/index.ts";
import { type Network, pruned, type Step } from "./plan.ts";
import { shown } from "./text.ts";

/** Shapes of all tensors in a run on `images` images; floating ones only. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

export interface Choice {
  /** The reader's choice first. */
  readonly candidates: readonly string[];
  readonly name: string;
  readonly width: number;
}

/** Steps that give their input on as it is. */
const passing: ReadonlySet<string> = new Set(["Dropout", "Identity", "StopGradient", "SpatialDropout2D"]);

/**
 * What the last layer with weights reads (a dense one, or a convolution of 1 x 1 pixel): pooled features in published
 * classifiers. The output itself where there is no such layer.
 * @throws UserError when the wished tensor does not exist, or none can serve
 */
export function chooseFeatures(
  network: Network,
  shapes: Shapes,
  images: number,
  wish: string | undefined,
  file: string,
): Choice {
  const { steps } = pruned({ file, steps: network.steps }, network.outputs.slice(0, 1));
  const width = (name: string): number | undefined => {
    const shape = shapes.get(name);
    if (!shape || shape.length < 2 || shape.length > 4 || shape[0] !== images) return undefined;
    return network.layout === "NCHW" && shape.length === 4 ? shape[1] : shape.at(-1);
  };
  const producers = new Map(steps.flatMap((step) => step.outputs.map((name) => [name, step])));
  const head = steps.findLast(
    (step) => step.role === "dense" || (step.role === "convolution" && isPoint(step, shapes)),
  );
  const own = beforePassing(head?.inputs[0] ?? network.outputs[0] ?? "", producers);
  const vectors = steps.flatMap((step) => step.outputs).filter((name) => shapes.get(name)?.length === 2);
  const map = steps.findLast((step) => shapes.get(step.outputs[0] ?? "")?.length === 4)?.outputs[0];
  const all = [own, ...vectors.reverse(), ...(map === undefined ? [] : [map])];
  const candidates = [...new Set(all)].filter((name) => (width(name) ?? 0) > 0);
  const name = wish ?? candidates[0];
  const found = name === undefined ? undefined : width(name);
  if (name !== undefined && found !== undefined && found > 0) return { candidates, name, width: found };
  const known = candidates.slice(0, 12).map((candidate) => shown(candidate));
  const advice = known.length > 0 ? `tensors that can: ${known.join(", ")}` : "the model has none that can";
  if (wish === undefined) throw new UserError(`${file}: no tensor can serve as features; ${advice}`);
  const shape = shapes.get(wish);
  const problem = shape ? `has the shape [${shape.join(", ")}] for ${images} images` : "is not made by the model";
  throw new UserError(`${file}: the tensor ${shown(wish)} cannot serve as features: it ${problem}; ${advice}`);
}

function isPoint(step: Step, shapes: Shapes): boolean {
  const shape = shapes.get(step.inputs[0] ?? "");
  return shape?.length === 4 && shape.slice(1).filter((size) => size === 1).length >= 2;
}

function beforePassing(name: string, producers: ReadonlyMap<string, Step>): string {
  let current = name;
  for (let step = producers.get(current); step && passing.has(step.kind); step = producers.get(current)) {
    current = step.inputs[0] ?? current;
  }
  return current;
}
