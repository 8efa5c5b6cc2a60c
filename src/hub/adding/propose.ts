/** From what a file holds and what the user says to a member's entry in the manifest. */
import { type GraphModel, type LazyTensor, narrow, quoted } from "../../io/index.ts";
import { fitArchitecture, type Proposal, proposeArchitecture, type Wish } from "../../models/index.ts";
import { UserError } from "../../torch/index.ts";
import type { MemberEntry, MemberInput } from "../manifest.ts";

/** What the user says of a model; everything else is taken from the file. */
export interface Wishes extends Omit<Wish, "architecture"> {
  architecture?: string | undefined;
  /** Name of the tensor of a graph that serves as features. */
  features?: string | undefined;
  /** Dotted path of the state dict inside a PyTorch file. */
  under?: string | undefined;
  input?: Partial<MemberInput> | undefined;
  data?: string | undefined;
  paradigm?: string | undefined;
  licence?: string | undefined;
}

/** A member's entry but for its name, files and origin. */
export interface Draft {
  entry: Pick<MemberEntry, "architecture" | "config" | "keyMap" | "featureWidth" | "pretraining" | "licence"> & {
    classifier?: string;
  };
  input: Partial<MemberInput>;
  /** Keys of the weights that are used. */
  keys: readonly string[];
  /** Remarks for the user: what was recognised, assumed, left out. */
  notes: readonly string[];
}

const unknown = "unknown";

/**
 * The network that a state dict holds.
 * @param published what the model's own preprocessor file says of its input
 * @throws UserError when no known architecture fits, or not the one that the user names
 */
export function draftOfWeights(
  path: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  wishes: Wishes,
  published: Partial<MemberInput> = {},
): Draft {
  const shapes = new Map(Array.from(tensors, ([key, tensor]) => [key, tensor.shape]));
  const proposal = propose(path, shapes, wishes);
  const { architecture, config, prefix, drop, rename, layout, classifier, featureWidth } = proposal;
  const notes = [`recognised ${described(proposal)}`];
  if (prefix !== "") notes.push(`its keys begin with "${prefix}"`);
  if (proposal.leftOut.length > 0) notes.push(`left out: ${listed(proposal.leftOut)}`);
  const input = { ...proposal.input, mean: [...proposal.input.mean], std: [...proposal.input.std] };
  const stated = { ...published, ...wishes.input };
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
      config,
      keyMap: { prefix, drop, rename, ...(layout === undefined ? {} : { layout }) },
      ...(classifier === undefined ? {} : { classifier }),
      featureWidth,
      ...origin(wishes, proposal.paradigm),
    },
    input: { ...input, ...stated },
    keys,
    notes,
  };
}

function propose(path: string, shapes: ReadonlyMap<string, readonly number[]>, wishes: Wishes): Proposal {
  const { architecture, config, prefix, layout } = wishes;
  if (architecture !== undefined) {
    try {
      return fitArchitecture(shapes, { architecture, config, prefix, layout });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`${path}: ${error.message}`, { cause: error });
    }
  }
  const below = prefix === undefined ? shapes : new Map([...shapes].filter(([key]) => key.startsWith(prefix)));
  const found = proposeArchitecture(below);
  if (found) return found;
  const examples = [...below.keys()].slice(0, 4).map((key) => `"${key}"`);
  throw new UserError(
    `${path}: its ${below.size} tensors${prefix ? ` below "${prefix}"` : ""} fit no known architecture` +
      `${examples.length > 0 ? ` (keys such as ${examples.join(", ")})` : ""}; name it with --arch (and --config, --prefix, --layout), ` +
      "or export the model to ONNX, which brings its own network",
  );
}

function described({ preset, architecture, config, layout }: Proposal): string {
  const what = preset === undefined ? `${architecture} ${JSON.stringify(config)}` : `${preset} (${architecture})`;
  return layout === undefined ? what : `${what} with the key names of ${layout}`;
}

/** The entry of a network that a file brings along. */
export function draftOfGraph(graph: GraphModel, wishes: Wishes, published: Partial<MemberInput> = {}): Draft {
  const { featuresName, featureWidth, candidates } = graph;
  const others = candidates.filter((name) => name !== featuresName);
  const [file = ""] = graph.files;
  if (featureWidth < narrow && wishes.features === undefined && others.length > 0) {
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
    input: { ...published, ...inputOf(graph, wishes.input ?? {}, file) },
    keys: [],
    notes,
  };
}

/** What the graph fixes of its input, and what the user says of the rest. */
function inputOf({ input }: GraphModel, wishes: Partial<MemberInput>, file: string): Partial<MemberInput> {
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
