/**
 * What routes by kind of input will win, before anything is trained for it: heads on members that stay as they are, and a
 * generator that is told the kinds. n training rows, v validation rows, d features, C classes, q kinds, m members.
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
  keep,
  keyedRandom,
  noGrad,
  ops,
  scope,
  shuffled,
  type Tensor,
} from "../../torch/index.ts";
import { type BatchSource, forEachBatch, passOf } from "../../train/index.ts";
import { convergedHead, headLogits } from "../routing/converged-head.ts";

/** Accuracies on validation rows. Members, pairs and owners of kinds are those of the best left-out training rows. */
export interface Prediction {
  images: number;
  kinds: string[];
  /** Rows whose kind a generator names that is told the kinds of the training rows. */
  told: number;
  /** The same members for every row. */
  single: number;
  pair: number;
  ensemble: number;
  /** Rows of a kind by the members that own it, whose heads learn from the kinds that they own. */
  oracleSingle: number;
  oraclePair: number;
  /** The same along the kinds that the generator names. */
  toldSingle: number;
  toldPair: number;
  /** Rows of a kind by the member that is best for it, with heads that learn from all kinds. */
  sharedSingle: number;
  /** Member that owns each kind where one is activated. */
  owners: string[];
}

/** Rows of one split. */
interface Rows {
  /** [n, d] of each member. */
  features: Tensor[];
  labels: readonly number[];
}

/** Kind of each class: the part of a mix that it comes from. */
export function kindsOf(classes: readonly string[]): { kinds: string[]; kindOf: number[] } {
  const names = classes.map((name) => (name.includes(": ") ? name.slice(0, name.indexOf(": ")) : ""));
  const kinds = [...new Set(names)];
  return { kinds, kindOf: names.map((name) => kinds.indexOf(name)) };
}

export async function predict(setting: Setting): Promise<Prediction> {
  const { classes, held, train } = await imagesOf(setting);
  const named = await toldKinds(setting, train(), held(), kindsOf(classes).kindOf);
  return withRoutes(setting, (routes, kinds, kindOfRow) => {
    const members = setting.hub.manifest.members.length;
    const fixed = (size: number) => routes.best(sameForAll(members, size, kinds));
    const [single, pair, ensemble] = [fixed(1), fixed(2), fixed(members)];
    const [ownSingle, ownPair] = [routes.best(routes.owners(1)), routes.best(routes.owners(2))];
    return {
      images: routes.images,
      kinds,
      told: share(named.map((kind, row) => kind === kindOfRow[row])),
      single: routes.accuracy(single, kindOfRow),
      pair: routes.accuracy(pair, kindOfRow),
      ensemble: routes.accuracy(ensemble, kindOfRow),
      oracleSingle: routes.accuracy(ownSingle, kindOfRow),
      oraclePair: routes.accuracy(ownPair, kindOfRow),
      toldSingle: routes.accuracy(ownSingle, named),
      toldPair: routes.accuracy(ownPair, named),
      sharedSingle: routes.accuracy(routes.freeOwners(1), kindOfRow, "all kinds"),
      owners: ownSingle.map(([i = 0]) => setting.hub.manifest.members[i]?.name ?? ""),
    };
  });
}

/**
 * Accuracy of the one member that is best for all rows when each kind has a head of its own: what knowing the kind wins
 * without another member.
 */
export function headForEachKind(setting: Setting): Promise<number> {
  return withRoutes(setting, (routes, kinds, kindOfRow) => {
    const singles = sameForAll(setting.hub.manifest.members.length, 1, kinds);
    return routes.accuracy(routes.best(singles, "one kind"), kindOfRow, "one kind");
  });
}

async function imagesOf(setting: Setting) {
  const data = await setting.data();
  const limit = setting.protocol.target.limits?.validation ?? data.counts.validation;
  const held = () => data.open("validation", Math.min(limit, data.counts.validation));
  return { classes: data.classes, held, train: () => data.open("train") };
}

/** @param use with the kind of each validation row */
async function withRoutes<T>(
  setting: Setting,
  use: (routes: KnownKinds, kinds: string[], kindOfRow: readonly number[]) => T,
): Promise<T> {
  const { classes, held, train } = await imagesOf(setting);
  const { kinds, kindOf } = kindsOf(classes);
  const [known, asked] = [await rowsOf(setting, train()), await rowsOf(setting, held())];
  const routes = new KnownKinds(known, asked, kindOf, kinds.length, setting.seed);
  try {
    return use(
      routes,
      kinds,
      asked.labels.map((label) => kindOf[label] ?? -1),
    );
  } finally {
    routes.dispose();
    disposeTree([known.features, asked.features]);
  }
}

/** All sets of so many members, each for every kind. */
function sameForAll(members: number, size: number, kinds: readonly string[]): Owners[] {
  return combinations(members, Math.min(size, members)).map((set) => kinds.map(() => set));
}

const share = (right: readonly boolean[]): number => right.filter(Boolean).length / Math.max(1, right.length);

/** Members of each kind: what routes by kind give its rows to. */
type Owners = readonly (readonly number[])[];

/** Training rows that heads were fitted without, or validation rows. */
type Side = "leftOut" | "held";

/** Kinds that the head of a member learns from: those that it owns, all, or for each kind a head of its own. */
type Lessons = "own kinds" | "all kinds" | "one kind";

/** Answers along routes by kind. */
class KnownKinds {
  readonly #known: Rows;
  readonly #asked: Rows;
  readonly #kindOf: readonly number[];
  readonly #kinds: number;
  readonly #seed: number;
  /** Log-probabilities by side, member and kinds. */
  readonly #answers = new Map<string, Tensor>();

  constructor(known: Rows, asked: Rows, kindOf: readonly number[], kinds: number, seed: number) {
    this.#seed = seed;
    this.#known = known;
    this.#asked = asked;
    this.#kindOf = kindOf;
    this.#kinds = kinds;
  }

  /** Training rows. */
  get images(): number {
    return this.#known.labels.length;
  }

  /** Each kind by those that are best for it, under heads of all kinds. */
  freeOwners(size: number): Owners {
    return this.#ranked(size).map(([first]) => first?.set ?? []);
  }

  /** Candidates: each kind by those that are best for it, and so that no member owns more kinds than it has to. */
  owners(size: number): Owners[] {
    const ranked = this.#ranked(size);
    const members = this.#known.features.length;
    const most = Math.ceil((size * this.#kinds) / members);
    const load = new Array<number>(members).fill(0);
    const spread: (readonly number[])[] = ranked.map(() => []);
    const all = ranked.flatMap((own, kind) => own.map((one) => ({ ...one, kind })));
    for (const { set, kind } of all.sort((a, b) => b.score - a.score)) {
      if (spread[kind]?.length || set.some((i) => (load[i] ?? 0) >= most)) continue;
      spread[kind] = set;
      for (const i of set) load[i] = (load[i] ?? 0) + 1;
    }
    return [this.freeOwners(size), spread.map((set, kind) => (set.length > 0 ? set : (ranked[kind]?.[0]?.set ?? [])))];
  }

  /** The owners that are right on most left-out training rows. */
  best(candidates: readonly Owners[], lessons: Lessons = "own kinds"): Owners {
    const kinds = this.#known.labels.map((label) => this.#kindOf[label] ?? 0);
    const scores = candidates.map((owners) => share(this.#right("leftOut", owners, kinds, lessons)));
    return candidates[scores.indexOf(Math.max(...scores))] ?? [];
  }

  /** On validation rows of the given kinds. */
  accuracy(owners: Owners, kinds: readonly number[], lessons: Lessons = "own kinds"): number {
    return share(this.#right("held", owners, kinds, lessons));
  }

  dispose(): void {
    disposeTree([...this.#answers.values()]);
  }

  /** For each kind the sets of so many members, best first, by left-out rows under heads of all kinds. */
  #ranked(size: number): { set: number[]; score: number }[][] {
    const sets = combinations(this.#known.features.length, Math.min(size, this.#known.features.length));
    const kinds = this.#known.labels.map((label) => this.#kindOf[label] ?? 0);
    const right = sets.map((set) =>
      this.#right("leftOut", kinds.map(() => set).slice(0, this.#kinds), kinds, "all kinds"),
    );
    return Array.from({ length: this.#kinds }, (_, kind) =>
      sets
        .map((set, i) => ({ set, score: share((right[i] ?? []).filter((_, row) => kinds[row] === kind)) }))
        .sort((a, b) => b.score - a.score),
    );
  }

  #right(side: Side, owners: Owners, kinds: readonly number[], lessons: Lessons): boolean[] {
    const labels = side === "held" ? this.#asked.labels : this.#known.labels;
    const all = owners.map((_, kind) => kind);
    const learned = {
      "own kinds": (i: number) => all.filter((kind) => owners[kind]?.includes(i)),
      "all kinds": () => all,
      "one kind": (_: number, kind: number) => [kind],
    };
    const answers = owners.map((set, kind) =>
      scope(() => {
        const logits = set.map((i) => this.#logits(side, i, learned[lessons](i, kind)));
        return logits
          .reduce((sum, own) => sum.add(own))
          .argmax(1)
          .toNumbers();
      }),
    );
    return labels.map((label, row) => answers[kinds[row] ?? 0]?.[row] === label);
  }

  /** Log-probabilities of all classes by a member whose head learned from rows of some kinds. */
  #logits(side: Side, i: number, kinds: readonly number[]): Tensor {
    const name = `${side} ${i} ${kinds.join(" ")}`;
    const fit = side === "held" ? this.#converged : this.#closedForm;
    const found = this.#answers.get(name) ?? keep(fit.call(this, i, kinds));
    this.#answers.set(name, found);
    return found;
  }

  /** Training rows of some kinds, and their labels. */
  #rowsOf(kinds: readonly number[]): { rows: number[]; labels: number[] } {
    const rows = this.#known.labels.flatMap((label, row) => (kinds.includes(this.#kindOf[label] ?? -1) ? [row] : []));
    return { rows, labels: rows.map((row) => this.#known.labels[row] ?? 0) };
  }

  /** Of training rows by a head in closed form; those of its kinds by a head that was fitted without them. */
  #closedForm(i: number, kinds: readonly number[]): Tensor {
    const known = this.#known.features[i] as Tensor;
    const { rows, labels } = this.#rowsOf(kinds);
    return scope(() =>
      noGrad(() => {
        const [own, targets] = [int64(rows), int64(labels)];
        const features = known.index_select(0, own).to({ dtype: "float64" });
        const hot = targets.one_hot(this.#kindOf.length).to({ dtype: "float64" });
        const loss = (logits: Tensor) => crossEntropy(logits, targets).item();
        const { weight, bias, leftOut } = ridgeHead(features, hot, loss);
        const all = known.to({ dtype: "float64" }).matmul(weight.t()).add(bias);
        return ops.index_copy_(all, 0, own, leftOut).log_softmax(1);
      }),
    );
  }

  /** Of validation rows by a head that was trained to convergence. */
  #converged(i: number, kinds: readonly number[]): Tensor {
    const [known, asked] = [this.#known.features[i] as Tensor, this.#asked.features[i] as Tensor];
    const { rows, labels } = this.#rowsOf(kinds);
    return scope(() => {
      const head = convergedHead(known.index_select(0, int64(rows)), labels, this.#kindOf.length, this.#seed);
      return noGrad(() => headLogits(head, asked).log_softmax(1));
    });
  }
}

async function rowsOf({ hub }: Setting, batches: BatchSource): Promise<Rows> {
  const features: Tensor[] = [];
  let labels: readonly number[] = [];
  const members = loadMembers(hub);
  try {
    for (const member of members) {
      const pass = await passOf(member, batches, { scores: false });
      features.push(pass.features);
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
