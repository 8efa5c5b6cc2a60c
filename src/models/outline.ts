/** Names and shapes of networks, made without data, and how a state dict differs from them. */
import { quoted } from "../io/index.ts";
import { init, isDerived } from "../nn/index.ts";
import { Generator, TorchError, UserError } from "../torch/index.ts";
import type { Config, Shapes } from "./family.ts";
import { createBackbone, presets } from "./registry.ts";

type Shape = readonly number[];

/** Differences that a message names. */
const shownKeys = 6;

/** Names and shapes of a network. */
export interface Outline {
  shapes: Shapes;
  featureWidth: number;
  /** Number of its weights. */
  weights: number;
}

/** Shapes and sizes of a network of this configuration; undefined when the configuration makes no sense. */
export function outlineOf(architecture: string, config: Config): Outline | undefined {
  using unused = new Generator(0);
  try {
    using backbone = init.skipInit(() => createBackbone(architecture, config, { generator: unused, device: "meta" }));
    const shapes = new Map(Array.from(backbone.stateDict(), ([name, tensor]) => [name, tensor.shape]));
    const weights = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    return { shapes, featureWidth: backbone.featureWidth, weights };
  } catch (error) {
    if (error instanceof UserError || error instanceof RangeError || error instanceof TorchError) return undefined;
    throw error;
  }
}

const presetOutlines = new Map<string, Outline>();

/** Outline of a published network. */
export function presetOutline(name: string): Outline | undefined {
  const known = presetOutlines.get(name);
  if (known) return known;
  const preset = presets()[name];
  const outline = preset && outlineOf(preset.architecture, preset.config);
  if (outline) presetOutlines.set(name, outline);
  return outline;
}

/** True when every tensor of a network is there in its shape; those that `isDerived` names may be missing. */
export function covers(given: Shapes, wanted: Shapes): boolean {
  for (const [name, shape] of wanted) {
    const found = given.get(name);
    if (found ? !sameShape(found, shape) : !isDerived(name)) return false;
  }
  return true;
}

function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** Tensors of a network that a state dict lacks or has in another shape, as messages. */
export function lacks(given: Shapes, wanted: Shapes): string[] {
  const problems: string[] = [];
  for (const [name, shape] of wanted) {
    const found = given.get(name);
    if (!found && !isDerived(name)) problems.push(`${quoted(name)} is missing`);
    if (found && !sameShape(found, shape)) problems.push(`${quoted(name)} is [${found}] instead of [${shape}]`);
  }
  return problems;
}

/** The first of a list of problems, and how many more there are. */
export function listed(problems: readonly string[]): string {
  const more = problems.length > shownKeys ? ` and ${problems.length - shownKeys} more` : "";
  return problems.slice(0, shownKeys).join(", ") + more;
}
