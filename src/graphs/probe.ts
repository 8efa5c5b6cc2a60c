/** Finds features and scores of a graph by trying it out. V names a value, as in features.ts. */
import { inferenceMode, scope, Tensor, type UserError } from "../torch/index.ts";
import {
  ancestors,
  chosen,
  leftAway,
  narrow,
  type Probe,
  type Proposal,
  present,
  producersOf,
  proposalsOf,
  ranked,
  refuseBroken,
  type Structure,
  scoresOf,
  type Wish,
  widthOf,
} from "./features.ts";
import { arranged, pattern, type Sides } from "./graph-model.ts";
import type { GraphFile, Network } from "./network.ts";
import { type FixedBatch, Program } from "./program.ts";
import { isFloating } from "./values.ts";

export interface Found<V> {
  readonly features: V;
  readonly width: number;
  /** Values that could serve as features, the best first. */
  readonly candidates: readonly V[];
  readonly scores: V | undefined;
  /** Set where the graph fixes its batch. */
  readonly fixed: FixedBatch<V> | undefined;
  readonly notes: readonly string[];
  /** Just what features and scores need. */
  readonly network: Network<V>;
}

/** Outputs that are looked at as scores. */
const maximumOutputs = 64;

/**
 * Chooses features and scores, and builds what they need. The caller disposes the network.
 * @param wish name of the features, the best where it is left out
 * @throws UserError when nothing can serve: what kept it from being computed, or advice
 */
export function discover<V>(graph: GraphFile<V>, wish: string | undefined, sides: Sides): Found<V> {
  const { structure, file } = graph;
  const proposals = proposalsOf(structure);
  const usable = proposals.filter(({ runs }) => runs);
  const wished = wish === undefined ? undefined : { name: wish, value: graph.valueOf(wish) };
  const asked = wished ? present([wished.value]) : usable.map(({ value }) => value);
  if (asked.length > 0) refuseBroken(structure, asked, file);
  else if (usable.length === 0) {
    refuseBroken(structure, proposals.length > 0 ? proposals.map(({ value }) => value) : structure.outputs, file);
  }
  const producers = producersOf(structure.parts);
  const runs = (output: V): boolean =>
    [...ancestors([output], producers)].every((value) => !producers.get(value)?.problem);
  const outputs = structure.outputs.slice(0, maximumOutputs).filter(runs);
  const wanted = [...new Set([...usable.map(({ value }) => value), ...outputs, ...asked])];
  const network = graph.build(wanted);
  for (const norm of network.norms.values()) norm.eval();
  try {
    const search = { graph, proposals: usable, wish: wished, sides, program: new Program(network, wanted) };
    const found = choose(search, asked);
    return { ...found, network: network.narrowed(present([found.features, found.scores])) };
  } catch (error) {
    network.dispose();
    throw error;
  }
}

interface Search<V> {
  readonly graph: GraphFile<V>;
  /** Proposals that can be run. */
  readonly proposals: readonly Proposal<V>[];
  readonly wish: Wish<V> | undefined;
  readonly sides: Sides;
  /** Runs everything that may be needed. */
  readonly program: Program<V>;
}

function choose<V>(search: Search<V>, asked: readonly V[]): Omit<Found<V>, "network"> {
  const { graph, proposals, wish } = search;
  const { structure, file, nameOf } = graph;
  const { probe, failures, shapes, isFixed } = look(search, asked);
  const best = ranked(proposals, probe);
  if (!asked.some((value) => widthOf(value, probe) !== undefined)) {
    const needed = ancestors(asked.length > 0 ? asked : structure.outputs, producersOf(structure.parts));
    for (const [value, error] of failures) if (needed.has(value)) throw error;
  }
  const candidates = [...new Set([...best, ...further(structure, probe)])];
  const { value: features, width } = chosen(best[0], candidates, wish, probe, file, nameOf);
  const scores = scoresOf(structure, probe, features);
  const gone = leftAway(structure, present([features, scores]), nameOf);
  return {
    features,
    width,
    candidates,
    scores,
    fixed: isFixed ? { declared: probe.images, shapes } : undefined,
    notes: gone === undefined ? [] : [gone],
  };
}

/** Maps that are offered beside the proposals. */
const offeredMaps = 4;

/** Other values with a row for each image, for whoever wants to name one: outputs, vectors, the last maps; wide ones first. */
function further<V>({ parts, outputs }: Structure<V>, probe: Probe<V>): V[] {
  const made = parts.flatMap((part) => present(part.outputs)).reverse();
  const vectors = made.filter((value) => probe.shapes.get(value)?.length === 2);
  const maps = made.filter((value) => probe.shapes.get(value)?.length === 4).slice(0, offeredMaps);
  const all = [...outputs, ...vectors, ...maps].filter((value) => widthOf(value, probe) !== undefined);
  const isNarrow = (value: V): number => ((widthOf(value, probe) ?? 0) < narrow ? 1 : 0);
  return all.toSorted((a, b) => isNarrow(a) - isNarrow(b));
}

interface Look<V> {
  readonly probe: Probe<V>;
  readonly failures: ReadonlyMap<V, UserError>;
  /** All shapes, of whole numbers too. */
  readonly shapes: ReadonlyMap<V, readonly number[]>;
}

/**
 * Runs the graph once with two images, or with the batch that the file says. Where the best of what is asked for is lost
 * by two images and not by one, the graph fixes its batch without saying so.
 */
function look<V>(search: Search<V>, asked: readonly V[]): Look<V> & { isFixed: boolean } {
  const { proposals, graph } = search;
  const { batch } = graph.images;
  if (batch !== undefined) return { ...tryOut(search, batch), isFixed: true };
  const pair = tryOut(search, 2);
  const isRow = ({ probe }: Look<V>, value: V): boolean => widthOf(value, probe) !== undefined;
  if (asked.every((value) => isRow(pair, value))) return { ...pair, isFixed: false };
  const single = tryOut(search, 1);
  const lost = asked.filter((value) => isRow(single, value) && !isRow(pair, value));
  const [best] = ranked(proposals, single.probe);
  const isFixed = search.wish ? lost.length > 0 : best !== undefined && lost.includes(best);
  return isFixed ? { ...single, isFixed } : { ...pair, isFixed };
}

function tryOut<V>({ graph, proposals, sides, program }: Search<V>, images: number): Look<V> {
  const shapes = new Map<V, readonly number[]>();
  const floating = new Map<V, readonly number[]>();
  const failures = new Map<V, UserError>();
  const differences = new Differences(proposals.map(({ value }) => value));
  const run = (first: number): void => {
    program.run(arranged(pattern(images, sides, first), graph.images, graph.file), {
      watch: (name, value) => {
        shapes.set(name, value.shape);
        if (!(value instanceof Tensor && isFloating(value.dtype))) return;
        floating.set(name, value.shape);
        differences.see(name, value, images);
      },
      onFailure: (step, error) => {
        for (const name of present(step.outputs)) failures.set(name, error);
      },
    });
  };
  scope(() =>
    inferenceMode(() => {
      // One image alone cannot show what differs between images.
      for (const first of images === 1 ? [0, 1] : [0]) run(first);
    }),
  );
  return { probe: { images, shapes: floating, dead: differences.dead, channel: graph.channel }, failures, shapes };
}

/** Notes which values are the same for every image. */
class Differences<V> {
  readonly #prints: Map<V, Set<string>>;

  constructor(values: readonly V[]) {
    this.#prints = new Map(values.map((value) => [value, new Set()]));
  }

  see(value: V, tensor: Tensor, images: number): void {
    const prints = this.#prints.get(value);
    if (!prints || tensor.shape[0] !== images || tensor.numel() === 0) return;
    scope(() => {
      const rows = tensor.reshape([images, -1]);
      const [sums, sizes] = [rows.sum([1]), rows.abs().sum([1])].map((column) => column.toNumbers());
      for (const [i, sum] of sums?.entries() ?? []) prints.add(`${sum} ${sizes?.[i]}`);
    });
  }

  get dead(): ReadonlySet<V> {
    return new Set([...this.#prints].flatMap(([value, prints]) => (prints.size < 2 ? [value] : [])));
  }
}
