/**
 * What routes by kind of input will win, before anything is trained for it: heads in closed form on members that stay as they
 * are, and a generator that is told the kinds. n training rows, v validation rows, d features, C classes, q kinds, m members.
 */
import type { Setting } from "../../compare/index.ts";
import { augment, augmentations } from "../../data/index.ts";
import { loadMembers } from "../../hub/index.ts";
import { combinations } from "../../methods/index.ts";
import { crossEntropy } from "../../nn/index.ts";
import { AdamW } from "../../optim/index.ts";
import { defaultPathwayConfig, PathwayGenerator } from "../../pathway/index.ts";
import { ridgeHead } from "../../ranking/index.ts";
import {
  cat,
  disposeTree,
  Generator,
  inferenceMode,
  int64,
  keyedRandom,
  noGrad,
  scope,
  shuffled,
  type Tensor,
} from "../../torch/index.ts";
import { type BatchSource, forEachBatch, passOf } from "../../train/index.ts";

/** Accuracies on validation rows. Members, pairs and owners of kinds are those of the best left-out training rows. */
export interface Prediction {
  images: number;
  kinds: string[];
  /** Rows whose kind a generator names that is told the kinds of the training rows. */
  told: number;
  /** Heads on all kinds. */
  single: number;
  pair: number;
  ensemble: number;
  /** Each kind by the member, or the pair, that is best for it, with heads of its own classes. */
  oracleSingle: number;
  oraclePair: number;
  /** The same along the kinds that the generator names: a wrong one is a wrong answer. */
  toldSingle: number;
  toldPair: number;
  /** Member of each kind. */
  owners: string[];
}

/** Logits of a head in closed form: of training rows by a head that was fitted without them, and of validation rows. */
interface Fitted {
  leftOut: Tensor;
  held: Tensor;
}

/** Rows of one split. */
interface Rows {
  /** [n, d] of each member. */
  features: Tensor[];
  labels: readonly number[];
}

/** Members that answer together, and whether they are right on each validation row. */
interface Chosen {
  set: number[];
  right: boolean[];
}

/** Kind of each class: the part of a mix that it comes from. */
export function kindsOf(classes: readonly string[]): { kinds: string[]; kindOf: number[] } {
  const names = classes.map((name) => (name.includes(": ") ? name.slice(0, name.indexOf(": ")) : ""));
  const kinds = [...new Set(names)];
  return { kinds, kindOf: names.map((name) => kinds.indexOf(name)) };
}

export async function predict(setting: Setting): Promise<Prediction> {
  const data = await setting.data();
  const { kinds, kindOf } = kindsOf(data.classes);
  const held = () => data.open("validation", Math.min(limitOf(setting), data.counts.validation));
  const known = await rowsOf(setting, data.open("train"));
  const asked = await rowsOf(setting, held());
  try {
    const all = bestSets(
      fitAll(
        known,
        asked,
        kindOf.map((_, label) => label),
      ),
      known.labels,
      asked.labels,
    );
    const own = kinds.map((_, kind) => {
      const classes = kindOf.flatMap((one, label) => (one === kind ? [label] : []));
      const rows = known.labels.flatMap((label, row) => (kindOf[label] === kind ? [row] : []));
      const part = scope(() => known.features.map((own) => own.index_select(0, int64(rows))));
      const knownPart: Rows = { features: part, labels: rows.map((row) => known.labels[row] ?? -1) };
      try {
        return bestSets(
          fitAll(knownPart, asked, classes),
          local(knownPart.labels, classes),
          local(asked.labels, classes),
        );
      } finally {
        disposeTree(part);
      }
    });
    const kindOfRow = asked.labels.map((label) => kindOf[label] ?? -1);
    const named = await toldKinds(setting, data.open("train"), held(), kindOf);
    const along = (routes: readonly number[], size: "single" | "pair") =>
      share(routes.map((kind, row) => own[kind]?.[size].right[row] ?? false));
    return {
      images: known.labels.length,
      kinds,
      told: share(named.map((kind, row) => kind === kindOfRow[row])),
      single: share(all.single.right),
      pair: share(all.pair.right),
      ensemble: share(all.all.right),
      oracleSingle: along(kindOfRow, "single"),
      oraclePair: along(kindOfRow, "pair"),
      toldSingle: along(named, "single"),
      toldPair: along(named, "pair"),
      owners: own.map(({ single }) => setting.hub.manifest.members[single.set[0] ?? 0]?.name ?? ""),
    };
  } finally {
    disposeTree([known.features, asked.features]);
  }
}

const limitOf = ({ protocol }: Setting) => protocol.target.limits?.validation ?? Number.POSITIVE_INFINITY;

/** Positions in a list of classes; -1 for what is not in it. */
const local = (labels: readonly number[], classes: readonly number[]) => labels.map((label) => classes.indexOf(label));

const share = (right: readonly boolean[]): number => right.filter(Boolean).length / Math.max(1, right.length);

async function rowsOf({ hub }: Setting, batches: BatchSource): Promise<Rows> {
  const features: Tensor[] = [];
  let labels: readonly number[] = [];
  const members = loadMembers(hub);
  try {
    for (const member of members) {
      const pass = await passOf(member, batches, () => {});
      features.push(pass.features);
      pass.logits?.dispose();
      labels = pass.labels;
    }
    return { features, labels };
  } catch (error) {
    disposeTree(features);
    throw error;
  } finally {
    for (const member of members) member.dispose();
  }
}

/** A head of each member over some classes. */
function fitAll(known: Rows, asked: Rows, classes: readonly number[]): Fitted[] {
  const targets = int64(local(known.labels, classes));
  try {
    return known.features.map((features, i) =>
      scope(() =>
        noGrad(() => {
          const hot = targets.one_hot(classes.length).to({ dtype: "float64" });
          const loss = (logits: Tensor) => crossEntropy(logits, targets).item();
          const { weight, bias, leftOut } = ridgeHead(features.to({ dtype: "float64" }), hot, loss);
          const held = (asked.features[i] as Tensor).to({ dtype: "float64" }).matmul(weight.t()).add(bias);
          return { leftOut, held };
        }),
      ),
    );
  } finally {
    targets.dispose();
  }
}

/** One member, a pair, and all: those whose joined logits are right on most left-out rows. Disposes the logits. */
function bestSets(
  fits: readonly Fitted[],
  known: readonly number[],
  asked: readonly number[],
): Record<"single" | "pair" | "all", Chosen> {
  const joined = (set: readonly number[], side: keyof Fitted, labels: readonly number[]): boolean[] =>
    scope(() => {
      const [first, ...rest] = set.map((i) => (fits[i] as Fitted)[side]);
      const sum = rest.reduce((all, own) => all.add(own), first as Tensor);
      return sum
        .argmax(1)
        .toNumbers()
        .map((label, row) => label === labels[row]);
    });
  try {
    const best = (size: number): Chosen => {
      const sets = combinations(fits.length, Math.min(size, fits.length));
      const scores = sets.map((set) => share(joined(set, "leftOut", known)));
      const set = sets[scores.indexOf(Math.max(...scores))] ?? [];
      return { set, right: joined(set, "held", asked) };
    };
    return { single: best(1), pair: best(2), all: best(fits.length) };
  } finally {
    disposeTree(fits);
  }
}

/** Steps and rows of a told generator, whose views are changed anew in each. */
const [steps, rowsOfStep, rate] = [300, 96, 0.01];
const changes = { ...augmentations.none, minimumArea: 0.6 };

/** Kind of each validation row as a generator names it that learned them from the training rows. */
async function toldKinds(
  { seed }: Setting,
  known: BatchSource,
  asked: BatchSource,
  kindOf: readonly number[],
): Promise<number[]> {
  const { generatorWidth: width, generatorSize: size } = defaultPathwayConfig;
  const kinds = 1 + Math.max(...kindOf);
  using random = new Generator(seed);
  using generator = new PathwayGenerator({ m: kinds, width, size, learnedNoise: false, generator: random });
  const { views, labels } = await viewsOf(generator, known);
  try {
    using optimizer = new AdamW([{ params: generator.parameters(), lr: rate }]);
    for (let step = 0; step < steps; step++) {
      for (const group of optimizer.groups) group.lr = (rate / 2) * (1 + Math.cos((Math.PI * step) / steps));
      scope(() => {
        const rows = shuffled([...labels.keys()], keyedRandom(seed, step, 0x701d)).slice(0, rowsOfStep);
        const images = augment(views.index_select(0, int64(rows)), rows, changes, seed, step);
        const kind = int64(rows.map((row) => kindOf[labels[row] ?? 0] ?? 0));
        crossEntropy(generator.forward(images), kind).backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
    }
  } finally {
    views.dispose();
  }
  generator.eval();
  const named: number[] = [];
  await forEachBatch(asked.epoch(0, 0), { work: "kinds of validation images" }, ({ images }) => {
    named.push(...scope(() => inferenceMode(() => generator.forward(images).argmax(1).toNumbers())));
  });
  return named;
}

async function viewsOf(
  generator: PathwayGenerator,
  batches: BatchSource,
): Promise<{ views: Tensor; labels: number[] }> {
  const parts: Tensor[] = [];
  const labels: number[] = [];
  try {
    await forEachBatch(batches.epoch(0, 0), { work: "views" }, (batch) => {
      parts.push(scope(() => generator.view(batch.images).clone()));
      labels.push(...batch.labels);
    });
    return { views: cat(parts), labels };
  } finally {
    disposeTree(parts);
  }
}
