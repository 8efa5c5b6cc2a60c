/** Finds features and scores of a graph by trying it out. V names a value, as in graph-features.ts. */
import { inferenceMode, scope, type Tensor, type UserError } from "../torch/index.ts";
import {
  ancestors,
  chosen,
  leftAway,
  narrow,
  type Probe,
  type Proposal,
  producersOf,
  ranked,
  type Structure,
  scoresOf,
  widthOf,
} from "./features.ts";
import { pattern, type Sides } from "./graph-model.ts";

export interface Search<V> {
  readonly file: string;
  readonly structure: Structure<V>;
  /** Proposals that can be run. */
  readonly proposals: readonly Proposal<V>[];
  /** The features that the user names; the value is undefined where there is none such. */
  readonly wish: { readonly name: string; readonly value: V | undefined } | undefined;
  /** The batch that the file says. */
  readonly batch: number | undefined;
  readonly sides: Sides;
  /** Dimension of the channels in a map of four dimensions. */
  readonly channel: 1 | 3;
  /** Runs everything that may be needed on images [n, 3, H, W]; values that fail, and what needs them, are left out. */
  readonly run: (images: Tensor, watch: Watch<V>) => void;
  /** How messages name a value. */
  readonly name: (value: V) => string;
}

/** Is told what a run makes. */
export interface Watch<V> {
  readonly made: (value: V, shape: readonly number[], floating: Tensor | undefined) => void;
  readonly failed: (value: V, error: UserError) => void;
}

export interface Found<V> {
  readonly features: V;
  readonly width: number;
  /** Values that could serve as features, the best first. */
  readonly candidates: readonly V[];
  readonly scores: V | undefined;
  /** Where the graph fixes its batch: that, and the shapes of a run with it. */
  readonly fixed: { readonly declared: number; readonly shapes: ReadonlyMap<V, readonly number[]> } | undefined;
  readonly notes: readonly string[];
}

/**
 * Chooses features and scores.
 * @throws UserError when nothing can serve: what kept it from being computed, or advice
 */
export function findFeatures<V>(search: Search<V>): Found<V> {
  const { structure, proposals, wish, file, name } = search;
  const asked = wish ? [wish.value].filter((value) => value !== undefined) : proposals.map(({ value }) => value);
  const { probe, failures, shapes, isFixed } = look(search, asked);
  const best = ranked(proposals, probe);
  if (!asked.some((value) => widthOf(value, probe) !== undefined)) {
    const needed = ancestors(asked.length > 0 ? asked : structure.outputs, producersOf(structure.parts));
    for (const [value, error] of failures) if (needed.has(value)) throw error;
  }
  const candidates = [...new Set([...best, ...further(structure, probe)])];
  const { value: features, width } = chosen(best[0], candidates, wish, probe, { file, name });
  const scores = scoresOf(structure, probe, features);
  const gone = leftAway(structure, scores === undefined ? [features] : [features, scores], name);
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
  const made = parts.flatMap((part) => part.outputs).reverse();
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
  const { proposals, batch } = search;
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

function tryOut<V>({ proposals, sides, channel, run }: Search<V>, images: number): Look<V> {
  const shapes = new Map<V, readonly number[]>();
  const floating = new Map<V, readonly number[]>();
  const failures = new Map<V, UserError>();
  const differences = new Differences(proposals.map(({ value }) => value));
  const watch: Watch<V> = {
    made: (value, shape, tensor) => {
      shapes.set(value, shape);
      if (!tensor) return;
      floating.set(value, shape);
      differences.see(value, tensor, images);
    },
    failed: (value, error) => failures.set(value, error),
  };
  scope(() =>
    inferenceMode(() => {
      // One image alone cannot show what differs between images.
      for (const first of images === 1 ? [0, 1] : [0]) run(pattern(images, sides, first), watch);
    }),
  );
  return { probe: { images, shapes: floating, dead: differences.dead, channel }, failures, shapes };
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
