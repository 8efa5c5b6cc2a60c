/** From what a file holds and what the user says to a member's entry in the manifest. */

import type { GraphModel } from "../../graphs/index.ts";
import { type LazyTensor, quoted } from "../../io/index.ts";
import {
  architectures,
  describeNearMiss,
  firstLayers,
  fitArchitecture,
  type Proposal,
  proposeArchitecture,
  recogniseNetwork,
  resizedTo,
  type Wish,
} from "../../models/index.ts";
import { scope, type Tensor, tensor, UserError } from "../../torch/index.ts";
import type { ImageInput, MemberEntry } from "../manifest.ts";
import { type Published, rangeOf, scaled } from "./published.ts";

/** User's description of a model; everything else is taken from the file. */
export interface Wishes extends Omit<Wish, "architecture"> {
  architecture?: string | undefined;
  /** Name of the tensor of a graph that serves as features. */
  features?: string | undefined;
  /** Dotted path of the state dict inside a PyTorch file. */
  under?: string | undefined;
  input?: Partial<ImageInput> | undefined;
  /** The largest value of the pixels that mean and deviation are for; told from the numbers when left out. */
  range?: 1 | 255 | undefined;
  /** "adapt" makes a first layer of one or more than three channels take colour images. */
  channels?: "adapt" | undefined;
  data?: string | undefined;
  paradigm?: string | undefined;
  licence?: string | undefined;
}

/** A member's entry but for its name, files and origin. */
export interface Draft {
  entry: Pick<MemberEntry, "architecture" | "config" | "keyMap" | "featureWidth" | "pretraining" | "licence"> & {
    classifier?: string;
  };
  input: Partial<ImageInput>;
  /** Keys of the weights that are used. */
  keys: readonly string[];
  /** Changes to weights, by their keys; the results are the caller's. */
  changes: ReadonlyMap<string, (weight: Tensor) => Tensor>;
  /** Remarks for the user: what was recognised, assumed, left out. */
  notes: readonly string[];
}

const unknown = "unknown";

/**
 * The network that a state dict holds.
 * @param published what the files beside the model say
 * @throws UserError when no known architecture fits, or not the one that the user names
 */
export function draftOfWeights(
  path: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  wishes: Wishes,
  published: Published = { input: {} },
): Draft {
  const shapes = new Map(Array.from(tensors, ([key, tensor]) => [key, tensor.shape]));
  const { proposal, adapted, believed, remarks } = propose(path, shapes, wishes, published);
  if (proposal.guess) throw new UserError(`${path}: ${proposal.guess.question}`);
  const { architecture, prefix, drop, rename, layout, classifier, featureWidth } = proposal;
  const changes = new Map<string, (weight: Tensor) => Tensor>();
  const notes = [`recognised ${described(proposal)}`, ...remarks];
  if (adapted !== undefined) {
    notes.push(`${quoted(adapted)} takes colour images now`);
    changes.set(adapted, adaptedChannels);
  }
  if (prefix !== "") notes.push(`its keys begin with "${prefix}"`);
  if (proposal.leftOut.length > 0) notes.push(`left out: ${listed(proposal.leftOut)}`);
  const input = { ...proposal.input, mean: [...proposal.input.mean], std: [...proposal.input.std] };
  const stated = { ...believed, ...statedInput(wishes, notes) };
  const resizing = resized(path, proposal, tensors.keys(), stated.size ?? input.size);
  if (resizing?.positions) {
    notes.push(resizing.positions.note);
    changes.set(resizing.positions.key, resizing.positions.change);
  }
  if (stated.mean === undefined || stated.std === undefined) {
    notes.push(
      `the file does not say how images must look: assumed mean ${input.mean.join(", ")} and std ${input.std.join(", ")}, ` +
        "usual for this network (else --mean and --std)",
    );
  }
  const keys = [...tensors.keys()].filter((key) => {
    if (classifier !== undefined && (key === `${classifier}.weight` || key === `${classifier}.bias`)) return true;
    return key.startsWith(prefix) && !drop.some((beginning) => key.startsWith(prefix + beginning));
  });
  return {
    entry: {
      architecture,
      config: resizing?.config ?? proposal.config,
      keyMap: { prefix, drop, rename, ...(layout === undefined ? {} : { layout }) },
      ...(classifier === undefined ? {} : { classifier }),
      featureWidth,
      ...origin(wishes, proposal.paradigm),
    },
    input: { ...input, ...stated },
    keys,
    changes,
    notes,
  };
}

/** `resizedTo` with the file in its messages. */
function resized(path: string, ...request: Parameters<typeof resizedTo>): ReturnType<typeof resizedTo> {
  try {
    return resizedTo(...request);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${path}: ${error.message}`, { cause: error }) : error;
  }
}

/** User's description of the input, for values in [0, 1]; remarks where the numbers are for values up to 255. */
function statedInput({ input = {}, range }: Wishes, notes: string[]): Partial<ImageInput> {
  const { mean, std } = input;
  if (!mean || !std) return input;
  const used = range ?? rangeOf({ mean, std });
  if (used === 1) return input;
  if (range === undefined) notes.push("read mean and std as those of values in [0, 255] (else --range 1)");
  return { ...input, ...scaled({ mean, std }, used) };
}

type Shapes = ReadonlyMap<string, readonly number[]>;

interface Proposed {
  proposal: Proposal;
  /** Key of a first layer that is made to take three channels. */
  adapted?: string;
  /** Input that the model's own files say. */
  believed: Partial<ImageInput>;
  remarks: string[];
}

function propose(path: string, shapes: Shapes, wishes: Wishes, published: Published): Proposed {
  const direct = proposeFor(shapes, wishes, published);
  if (!(direct instanceof UserError)) return direct;
  for (const [key, channels] of firstLayers(shapes)) {
    const [out = 0, , ...kernel] = shapes.get(key) ?? [];
    if (channels === 3) continue;
    const found = proposeFor(new Map(shapes).set(key, [out, 3, ...kernel]), wishes, published);
    if (found instanceof UserError) continue;
    const how = adaptation(channels);
    if (wishes.channels === "adapt" && how !== undefined) return { ...found, adapted: key };
    throw new UserError(
      `${path}: ${quoted(key)}, the first layer of what else is ${described(found.proposal)}, takes ${channels} ` +
        `channel${channels === 1 ? "" : "s"} instead of 3` +
        (how === undefined ? "" : `: take it with --channels adapt (${how})`),
    );
  }
  throw new UserError(`${path}: ${direct.message}`, { cause: direct });
}

/** The network of a state dict, or why it is none. */
function proposeFor(shapes: Shapes, wishes: Wishes, published: Published): Proposed | UserError {
  const { architecture, config, prefix, layout } = wishes;
  // An architecture that config.json names too is inferred with what that file says.
  const isTold = config === undefined && layout === undefined && architecture === published.network?.architecture;
  if (architecture !== undefined && !isTold) {
    try {
      const proposal = fitArchitecture(shapes, { architecture, config, prefix, layout });
      return { proposal, believed: published.input, remarks: [] };
    } catch (error) {
      if (error instanceof UserError) return error;
      throw error;
    }
  }
  const below = prefix === undefined ? shapes : new Map([...shapes].filter(([key]) => key.startsWith(prefix)));
  const { name, network } = published;
  const told = proposeArchitecture(below, { name, config: { ...network?.config, ...config } });
  const contradicted = Object.entries(network?.shaped ?? {}).find(
    ([key, value]) => (told?.config[key] ?? value) !== value,
  );
  if (told && (network === undefined || (told.architecture === network.architecture && !contradicted))) {
    return { proposal: told, believed: published.input, remarks: [] };
  }
  const proposal = network && proposeArchitecture(below, { config });
  if (!proposal) return unknownWeights(below, prefix, name ?? "");
  return { proposal, believed: {}, remarks: ["config.json beside it describes another network, and was left aside"] };
}

function unknownWeights(shapes: Shapes, prefix: string | undefined, name: string): UserError {
  const network = recogniseNetwork(shapes, name);
  const exported = "export the model to ONNX, which brings its own network";
  if (network !== undefined) {
    const said = name === "" || network.includes(name) ? "" : ` (${quoted(name)})`;
    return new UserError(
      `these are the weights of ${network}${said}, which this program has no network for: ${exported}`,
    );
  }
  const examples = [...shapes.keys()].slice(0, 4).map(quoted);
  const near = describeNearMiss(shapes) ?? (examples.length > 0 ? `keys such as ${examples.join(", ")}` : "");
  const known = architectures().map((architecture) => architecture.name);
  return new UserError(
    `its ${shapes.size} tensors${prefix ? ` below ${quoted(prefix)}` : ""} fit no known architecture` +
      `${near === "" ? "" : ` (${near})`}; name it with --arch (${known.join(", ")}), or ${exported}`,
  );
}

function described({ preset, architecture, config, layout }: Proposal): string {
  const what = preset === undefined ? `${architecture} ${JSON.stringify(config)}` : `${preset} (${architecture})`;
  return layout === undefined ? what : `${what} with the key names of ${layout}`;
}

/** The entry of a network that a file brings along. */
export function draftOfGraph(graph: GraphModel, wishes: Wishes, published: Partial<ImageInput> = {}): Draft {
  const { featuresName, featureWidth, candidates } = graph;
  const others = candidates.filter((name) => name !== featuresName);
  const [file = ""] = graph.files;
  if (graph.isNarrow && wishes.features === undefined && others.length > 0) {
    throw new UserError(
      `${file}: the best tensor that was found, ${quoted(featuresName)}, is ${featureWidth} wide, which says little of ` +
        `an image; name one with --features, such as ${listed(others)}`,
    );
  }
  const notes = [`features: "${featuresName}", ${featureWidth} wide`, ...graph.notes];
  if (others.length > 0) notes.push(`--features could also name ${listed(others)}`);
  return {
    entry: {
      architecture: "graph",
      config: { features: featuresName },
      keyMap: { prefix: "", drop: [], rename: {} },
      featureWidth,
      ...origin(wishes, undefined),
    },
    input: { ...published, ...inputOf(graph, statedInput(wishes, notes), file) },
    keys: [],
    changes: new Map(),
    notes,
  };
}

/** Input with the sides that the graph fixes, and the rest as the user describes it. */
function inputOf({ input }: GraphModel, wishes: Partial<ImageInput>, file: string): Partial<ImageInput> {
  if (!input.sides) return wishes;
  const [height, width] = input.sides;
  const size = Math.max(height, width);
  if (wishes.size !== undefined && wishes.size !== size) {
    throw new UserError(`${file} takes images of ${height} x ${width} pixels and no other: leave --size out`);
  }
  return { ...wishes, size, ...(height === width ? {} : { sides: [height, width] }) };
}

function origin(wishes: Wishes, paradigm: string | undefined): Pick<MemberEntry, "pretraining" | "licence"> {
  const { data = unknown, licence = unknown } = wishes;
  return { pretraining: { data, paradigm: wishes.paradigm ?? paradigm ?? unknown }, licence };
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => (name.length > 80 ? `${name.slice(0, 80)}…` : name));
  return `${shown.join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`;
}

// ---- first layers of networks for grey or many-channelled images, made to take colour images

/** Parts of red, green and blue in luminance (ITU-R BT.601), as Pillow makes grey images. */
const luminance = [0.299, 0.587, 0.114];

/** Adaptation of a first layer of that many channels, in words; undefined where there is none. */
function adaptation(channels: number): string | undefined {
  if (channels === 1) return "it then sees the luminance of colour images";
  return channels > 3 ? "it then sees colour images with its first three channels" : undefined;
}

/** A first layer's weight [out, c, k, k] as [out, 3, k, k]. The result is the caller's. */
function adaptedChannels(weight: Tensor): Tensor {
  return scope(() => {
    if (weight.size(1) > 3) return weight.narrow(1, 0, 3).clone();
    return weight.mul(tensor(luminance, { dtype: weight.dtype }).view([1, 3, 1, 1]));
  });
}
