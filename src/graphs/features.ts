/**
 * Choice of the value of a graph that serves as features, by the graph's structure: the same for ONNX and
 * TensorFlow.js. V names a value: a slot, or a tensor's name. n images, d features, S classes.
 */
import { listed, quoted, shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";

/** The values that a node reads and makes; undefined for an optional input or an unused output. */
export interface Links<V> {
  readonly inputs: readonly (V | undefined)[];
  readonly outputs: readonly (V | undefined)[];
}

/** The reason why a node cannot run: a message that names the file, or that its kind is not supported. */
export type Problem = UserError | "unsupported";

/** A node of a graph. */
export interface Part<V> extends Links<V> {
  /** Operator or layer class, in the words of its format. */
  readonly kind: string;
  /** True for a product of the images with weights: a dense layer or a convolution. */
  readonly isLayer: boolean;
  /** True for a layer with an activation of its own that is no softmax or sigmoid: what it makes may be features. */
  readonly isActivated?: boolean | undefined;
  readonly problem?: Problem | undefined;
}

/** A graph as the search sees it; its parts may be in any order, and wait for each other in circles. */
export interface Structure<V> {
  readonly parts: readonly Part<V>[];
  readonly outputs: readonly V[];
  /** True when a value depends on the pixels of the images. */
  readonly varies: (value: V) => boolean;
  /** Elements of a constant of the file; 0 for every other value. */
  readonly elements: (value: V) => number;
}

/** A value that the structure offers as features. */
export interface Proposal<V> {
  readonly value: V;
  /** True for what a classifier or another head reads; false for a value that the graph itself gives as its features. */
  readonly isHead: boolean;
  /** Elements of all weights that it depends on. */
  readonly weights: number;
  /** True when every node that it depends on can be run. */
  readonly runs: boolean;
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/));

/** Operators that give their input on as it is. */
const passing = words("Dropout Identity StopGradient SpatialDropout2D Snapshot EnsureShape Cast");
/** Operators between the last layer and an output that neither choose nor squash; layers of Keras too. */
const closing = words(
  "Add AddV2 BiasAdd Sub Mul Div RealDiv Flatten Reshape Squeeze Unsqueeze ExpandDims Transpose Permute " +
    "Concat ConcatV2 Concatenate Pack Split SplitV Slice StridedSlice Gather GatherV2 Unpack DepthToSpace",
);
/** Those of them whose several inputs lie side by side in the result. */
const joining = words("Concat ConcatV2 Concatenate Pack Gather GatherV2");
/** Operators whose results are scores, labels and choices, never features. */
const deciding = words(
  "Softmax LogSoftmax Sigmoid HardSigmoid Activation:softmax Activation:sigmoid Hardmax ArgMax ArgMin TopK TopKV2 " +
    "ZipMap NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 " +
    "GatherND GatherNd NonZero OneHot Where If Loop Scan While StatelessIf StatelessWhile " +
    "Equal Greater GreaterOrEqual GreaterEqual Less LessOrEqual LessEqual",
);
/** Operators that read sizes and no pixels. */
const measuring = words("Shape Size Rank ShapeN");
/** Proposals that are looked at; published networks have about ten. */
const maximumProposals = 64;

/**
 * Values that may serve as features: what the last layers on the ways to the outputs read, and outputs that are features
 * themselves. A way back from an output ends at the first layer; or, unless it has passed scores, labels or operators that
 * cannot be run, at the first operator that is part of a backbone (an activation, a pooling, a norm).
 */
export function proposalsOf<V>(structure: Structure<V>): Proposal<V>[] {
  const producers = producersOf(structure.parts);
  const found = new Map<V, boolean>();
  const seen = { features: new Set<V>(), decided: new Set<V>() };
  /** `start`: the output from which a way came that has passed nothing but closing operators. */
  const open: { value: V; start: V; decided: boolean }[] = structure.outputs
    .toReversed()
    .map((value) => ({ value, start: value, decided: false }));
  const propose = (value: V, isHead: boolean): void => {
    if (found.size < maximumProposals || found.has(value)) found.set(value, isHead || (found.get(value) ?? false));
  };
  for (let way = open.pop(); way; way = open.pop()) {
    const { value, start } = way;
    const part = producers.get(value);
    const visited = way.decided ? seen.decided : seen.features;
    if (visited.has(value)) continue;
    visited.add(value);
    if (!part) {
      // Nothing but closing operators between the images and an output.
      if (!way.decided && start !== value) propose(start, false);
      continue;
    }
    const sources = present(part.inputs).filter((input) => structure.varies(input));
    if (part.isLayer) {
      const read = part.isActivated ? [] : sources.map((source) => beforePassing(source, producers));
      // The images themselves are no features.
      const heads = read.filter((source) => producers.has(source));
      for (const head of heads) propose(head, true);
      if (heads.length === 0) propose(way.decided ? value : start, false);
      continue;
    }
    const decided = way.decided || part.problem !== undefined || deciding.has(part.kind);
    const isClosing = closing.has(part.kind) || passing.has(part.kind);
    const goesOn = decided || (isClosing && (sources.length === 1 || joining.has(part.kind)));
    if (!goesOn) propose(start, false);
    else for (const source of sources.toReversed()) open.push({ value: source, start, decided });
  }
  return Array.from(found, ([value, isHead]) => ({ value, isHead, ...ancestry(value, structure, producers) }));
}

/** Input of a layer before an output. `squashed` is true when the output is a probability. */
export interface Head<V> {
  readonly source: V;
  readonly squashed: boolean;
}

const squashing = words("Softmax LogSoftmax Sigmoid HardSigmoid Activation:softmax Activation:sigmoid");

/** For each output that is only closed and squashed behind a layer, that layer's head. */
export function headsOf<V>(structure: Structure<V>): Map<V, Head<V>> {
  const producers = producersOf(structure.parts);
  // Ways that many outputs share are walked once.
  const known = new Map<V, Head<V> | undefined>();
  for (const output of structure.outputs) {
    const walked: { value: V; squashes: boolean }[] = [];
    let head: Head<V> | undefined;
    for (let value: V | undefined = output; value !== undefined; ) {
      if (known.has(value)) {
        head = known.get(value);
        break;
      }
      const part = producers.get(value);
      const sources: V[] = present(part?.inputs ?? []).filter((input) => structure.varies(input));
      known.set(value, undefined);
      const squashes = part !== undefined && squashing.has(part.kind);
      const isClosing = part && (closing.has(part.kind) || passing.has(part.kind) || squashes);
      const [source] = sources;
      walked.push({ value, squashes });
      if (!part || part.problem || sources.length !== 1 || source === undefined) break;
      if (part.isLayer) {
        head = { source: beforePassing(source, producers), squashed: false };
        break;
      }
      value = isClosing ? source : undefined;
    }
    for (const { value, squashes } of walked.toReversed()) {
      head = head && squashes ? { ...head, squashed: true } : head;
      known.set(value, head);
    }
  }
  return new Map(
    structure.outputs.flatMap((output) => {
      const head = known.get(output);
      return head ? [[output, head] as const] : [];
    }),
  );
}

/**
 * The output that holds scores [n, S]: of the classifier that reads the features where there is one, before another's;
 * before it is squashed; of the most classes.
 */
export function scoresOf<V>(structure: Structure<V>, probe: Probe<V>, features: V): V | undefined {
  const heads = headsOf(structure);
  const usable = structure.outputs.filter((output) => {
    const shape = probe.shapes.get(output);
    return output !== features && shape?.length === 2 && shape[0] === probe.images && (shape[1] ?? 0) > 1;
  });
  const key = (output: V): number[] => {
    const head = heads.get(output);
    return [head ? 0 : 1, head?.source === features ? 0 : 1, head?.squashed ? 1 : 0, -(widthOf(output, probe) ?? 0)];
  };
  return usable.toSorted((a, b) => compared(key(a), key(b)))[0];
}

function compared(a: readonly number[], b: readonly number[]): number {
  return a.map((own, i) => own - (b[i] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

/** The part that makes each value. */
export function producersOf<V, P>(parts: readonly (P & Links<V>)[]): Map<V, P> {
  return new Map(parts.flatMap((part) => present(part.outputs).map((value) => [value, part] as const)));
}

export function present<V>(values: readonly (V | undefined)[]): V[] {
  return values.filter((value) => value !== undefined);
}

function beforePassing<V>(value: V, producers: ReadonlyMap<V, Part<V>>): V {
  let current = value;
  const walked = new Set<V>();
  for (let part = producers.get(current); part && passing.has(part.kind); part = producers.get(current)) {
    walked.add(current);
    const [source] = part.inputs;
    if (source === undefined || walked.has(source)) break;
    current = source;
  }
  return current;
}

function ancestry<V>(
  value: V,
  { elements }: Structure<V>,
  producers: ReadonlyMap<V, Part<V>>,
): Pick<Proposal<V>, "weights" | "runs"> {
  let weights = 0;
  let runs = true;
  for (const needed of ancestors([value], producers)) {
    weights += elements(needed);
    runs &&= producers.get(needed)?.problem === undefined;
  }
  return { weights, runs };
}

/** The given values, and all that they depend on. */
export function ancestors<V>(values: readonly V[], producers: ReadonlyMap<V, Links<V>>): Set<V> {
  const found = new Set<V>();
  const open = [...values];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    for (const input of present(producers.get(next)?.inputs ?? [])) open.push(input);
  }
  return found;
}

/** The parts that read each value, as often as they do. */
export function readersOf<V, P extends Links<V>>(parts: readonly P[]): Map<V, P[]> {
  const readers = new Map<V, P[]>();
  for (const part of parts) {
    for (const input of present(part.inputs)) {
      const list = readers.get(input);
      if (list) list.push(part);
      else readers.set(input, [part]);
    }
  }
  return readers;
}

/** A value, and all that depend on it. */
export function dependants<V>(parts: readonly Links<V>[], value: V): Set<V> {
  const readers = readersOf<V, Links<V>>(parts);
  const found = new Set([value]);
  // It grows while it is gone through.
  for (const next of found) {
    for (const { outputs } of readers.get(next) ?? []) for (const output of present(outputs)) found.add(output);
  }
  return found;
}

/** The values that depend on what the images show, not on their number and sizes alone. */
export function varyingIn<V>(parts: readonly (Links<V> & { readonly kind: string })[], images: V): Set<V> {
  const seeing = parts.filter(({ kind }) => !measuring.has(kind));
  return dependants(seeing, images);
}

const controlFlow = words("If Loop Scan SequenceMap While StatelessWhile StatelessIf");
const quantised = /Quantize|QLinear|Integer$|\.QAttention|\.QGemm/;

/**
 * Refuses values that cannot be computed.
 * @throws UserError for operators that are not supported, all at once, or for the first other problem
 */
export function refuseBroken<V>({ parts }: Structure<V>, wanted: readonly V[], file: string): void {
  const needed = ancestors(wanted, producersOf(parts));
  const broken = parts.filter((part) => part.problem && present(part.outputs).some((output) => needed.has(output)));
  const kinds = [...new Set(broken.flatMap(({ problem, kind }) => (problem === "unsupported" ? kind : [])))].sort();
  if (kinds.length > 0) {
    const advice = [
      kinds.some((kind) => quantised.test(kind))
        ? "; a quantised network cannot be trained: take the file from before quantisation"
        : "",
      kinds.some((kind) => controlFlow.has(kind))
        ? "; sub-graphs are not run: export the network without branches and loops"
        : "",
    ];
    const list = listed(kinds, undefined, shown);
    throw new UserError(`${file} uses operators or layers that are not supported: ${list}${advice.join("")}`);
  }
  for (const { problem } of broken) if (problem instanceof UserError) throw problem;
}

/** Findings of a run on n different images. */
export interface Probe<V> {
  readonly images: number;
  /** Shapes of floating values that could be computed. */
  readonly shapes: ReadonlyMap<V, readonly number[]>;
  /** Proposed values that are the same for every image. */
  readonly dead: ReadonlySet<V>;
  /** Dimension of the channels in a map of four dimensions. */
  readonly channel: 1 | 3;
}

/** Narrower features tell little; a reader chooses them only where nothing else can serve. */
export const narrow = 8;

/** Width d of a value as features; undefined for one without a row for each image. */
export function widthOf<V>(value: V, { images, shapes, channel }: Probe<V>): number | undefined {
  const shape = shapes.get(value);
  if (!shape || shape.length < 2 || shape.length > 4 || shape[0] !== images || shape.includes(0)) return undefined;
  return shape.length === 4 ? shape[channel] : shape.at(-1);
}

/**
 * Proposals that a run could compute, best first: those that differ between images, wide ones, vectors before maps, what
 * heads read before what outputs are, then what most weights have a part in. Ties keep the order of the graph's parts.
 */
export function ranked<V>(proposals: readonly Proposal<V>[], probe: Probe<V>): V[] {
  const isVector = (value: V): boolean => {
    const shape = probe.shapes.get(value) ?? [];
    return shape.length === 2 || (shape.length === 4 && shape.slice(1).filter((size) => size === 1).length >= 2);
  };
  const penalties = ({ value, isHead, weights }: Proposal<V>): number[] => [
    probe.dead.has(value) ? 1 : 0,
    (widthOf(value, probe) ?? 0) < narrow ? 1 : 0,
    isVector(value) ? 0 : 1,
    isHead ? 0 : 1,
    -weights,
  ];
  const usable = proposals.filter(({ value }) => widthOf(value, probe) !== undefined);
  const keyed = usable.map((proposal) => ({ value: proposal.value, key: penalties(proposal) }));
  keyed.sort((a, b) => compared(a.key, b.key));
  return keyed.map(({ value }) => value);
}

/** Names that a message lists. */
const shownNames = 10;

/** The features that the user names; the value is undefined where there is none such. */
export interface Wish<V> {
  readonly name: string;
  readonly value: V | undefined;
}

/**
 * The features' value: the wished one, or else the best.
 * @param candidates values that could serve when one names them
 * @throws UserError when the wished value cannot serve, or none can
 */
export function chosen<V>(
  best: V | undefined,
  candidates: readonly V[],
  wish: Wish<V> | undefined,
  probe: Probe<V>,
  file: string,
  nameOf: (value: V) => string,
): { readonly value: V; readonly width: number } {
  const value = wish ? wish.value : best;
  const width = value === undefined ? undefined : widthOf(value, probe);
  if (value !== undefined && width !== undefined) return { value, width };
  const names = candidates.slice(0, shownNames).map((one) => quoted(nameOf(one)));
  const advice = names.length === 0 ? "the graph has none that can" : `tensors that can: ${names.join(", ")}`;
  if (!wish) throw new UserError(`${file}: no tensor can serve as features; ${advice}`);
  const shape = value === undefined ? undefined : probe.shapes.get(value);
  const problem = shape
    ? `it has the shape [${shape.join(", ")}] for ${probe.images} images`
    : "no node makes such a tensor";
  throw new UserError(`${file}: the tensor ${quoted(wish.name)} cannot serve as features: ${problem}; ${advice}`);
}

/** Names and kinds that a note lists. */
const shownParts = 4;

/** The note on outputs that a network does without, and on the operators that only they need; undefined when there are none. */
export function leftAway<V>(
  { parts, outputs }: Structure<V>,
  kept: readonly V[],
  nameOf: (value: V) => string,
): string | undefined {
  const producers = producersOf(parts);
  const needed = ancestors(kept, producers);
  const gone = outputs.filter((output) => !needed.has(output));
  if (gone.length === 0) return undefined;
  const isNeeded = (part: Part<V>): boolean => present(part.outputs).some((value) => needed.has(value));
  const isPlain = (kind: string): boolean => passing.has(kind) || closing.has(kind);
  const keptKinds = new Set(parts.filter(isNeeded).map(({ kind }) => kind));
  const others = parts.filter((part) => !isNeeded(part) && !keptKinds.has(part.kind) && !isPlain(part.kind));
  const kinds = new Set(others.map(({ kind }) => kind));
  const some = (all: readonly string[]): string =>
    `${all.slice(0, shownParts).join(", ")}${all.length > shownParts ? ` and ${all.length - shownParts} more` : ""}`;
  const operators = kinds.size === 0 ? "" : ` and what only they need (${some([...kinds].sort())})`;
  return `left away: the output${gone.length === 1 ? "" : "s"} ${some(gone.map((value) => quoted(nameOf(value))))}${operators}`;
}
