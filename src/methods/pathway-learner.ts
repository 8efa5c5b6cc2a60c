/** Hub-Pathway as a learner of the training loop. */
import { HubMember } from "../hub/index.ts";
import { countParameters, type Module, type Standardize } from "../nn/index.ts";
import {
  HubPathway,
  type HubPathwayOptions,
  type PathwayConfig,
  type PathwayMember,
  type StoredFeatures,
} from "../pathway/index.ts";
import type { BudgetChoice, ModelChoice, Rule } from "../runtime/index.ts";
import {
  autocast,
  ConfigError,
  disposeTree,
  int64,
  type ProcessGroup,
  RandomStreams,
  scope,
  type Tensor,
  zeros,
} from "../torch/index.ts";
import {
  type Backward,
  type BatchSource,
  type EvaluationOptions,
  type ImageView,
  type Kept,
  type Learner,
  layersOf,
  type PartedStep,
  type Prediction,
  type RowRange,
  type Shards,
  type StepResult,
  type Task,
  type TrainBatch,
  type Variant,
} from "../train/index.ts";
import { accumulatedStep } from "./accumulated-step.ts";
import { budgetSettings, measureChoices } from "./budget-choices.ts";
import { GeneratorLessons, type LessonPart } from "./generator-lessons.ts";
import { type Costs, flopsOf, timesOf } from "./pathway-costs.ts";
import { type Settling, settleScores } from "./settle-scores.ts";
import { ShardedPathway, type SharedContext } from "./sharded-pathway.ts";
import { AskedBatch, predictByRule } from "./until-sure.ts";

export interface PathwayLearnerOptions {
  members: readonly PathwayMember[];
  /** Positions of the members that evaluation may activate; all when left out. */
  present?: readonly number[] | undefined;
  task: Task;
  config: PathwayConfig;
  seed: number;
  imageSize: number;
  /** Positions of the training images, for a generator that learns from losses on them. */
  items?: readonly number[] | undefined;
  /** A part of these lessons that an ablation leaves out. */
  withoutLesson?: LessonPart | undefined;
  prior?: readonly number[] | undefined;
  /** Choices for budgets that were measured before. */
  budgets?: readonly BudgetChoice[] | undefined;
  /** Ranks that have the members' weights among them. */
  shards?: SharedContext | undefined;
  /** The members' weights are new: they learn as fast as new layers do. */
  freshMembers?: boolean | undefined;
  device?: string | undefined;
}

/** Models that an input may activate, and how many. */
interface Choice {
  k: number;
  allowed: readonly number[];
  confidence: number | undefined;
  price: number | undefined;
}

/** Rows of a validation batch, about. */
const rowsOfBatch = 64;

export class PathwayLearner implements Learner {
  readonly module: HubPathway;
  readonly streams: RandomStreams;
  readonly backbones: readonly Module[];
  readonly memberNames: readonly string[];
  readonly #members: readonly PathwayMember[];
  readonly #present: readonly number[];
  readonly #task: Task;
  readonly #fresh: boolean;
  readonly #seed: number;
  readonly #imageSize: number;
  readonly #lessons: GeneratorLessons | undefined;
  /** The same as the module, where ranks have the members among them. */
  readonly #apart: ShardedPathway | undefined;
  readonly shards: Shards | undefined;
  #flops: Costs | undefined;
  #isStandardized = false;
  /** Choices for budgets, each with the models that it activates. */
  #budgets: Awaited<ReturnType<typeof measureChoices>>;
  /** How models are chosen in evaluation, where a variant does not say it. */
  #choice: Omit<ModelChoice, "k"> = {};
  /** Activated models in evaluation; may be set to another cost than trained for. */
  k: number;

  constructor(options: PathwayLearnerOptions) {
    this.streams = new RandomStreams(options.seed);
    this.#members = options.members;
    this.#present = options.present ?? options.members.map((_, i) => i);
    this.#task = options.task;
    this.#fresh = options.freshMembers ?? false;
    this.#seed = options.seed;
    this.backbones = options.members.map((member) => member.backbone);
    this.memberNames = options.members.map((member) => member.name);
    const { shards } = options;
    const parts: HubPathwayOptions = {
      members: options.members,
      outputs: options.task.outputs,
      config: options.config,
      streams: this.streams,
      prior: options.prior,
      // A copy that only predicts has no items, and remembers nothing.
      rows: options.config.credit === "losses" ? options.items?.length : undefined,
      device: options.device,
    };
    this.#apart = shards && new ShardedPathway({ ...parts, ...shards });
    this.module = this.#apart ?? new HubPathway(parts);
    this.shards = shards && this.#apart?.shards(shards);
    const { items = [], withoutLesson } = options;
    if (this.module.memory)
      this.#lessons = new GeneratorLessons(this.module, options.task, this.streams, items, withoutLesson);
    this.k = this.module.config.k;
    // Choices of all models name those of training, of which a run may have kept fewer.
    const most = this.#present.length;
    this.#budgets = (options.budgets ?? []).map((choice) => {
      return { choice: { ...choice, k: Math.min(choice.k, most) }, models: [] };
    });
    this.module.temperature();
    this.#imageSize = options.imageSize;
  }

  /** The generator alone looks at images whose features are known; stages of a member see them whole. */
  get imageView(): ImageView | undefined {
    const { config, generator } = this.module;
    if (config.generatorKind === "member-stem") return undefined;
    const side = scope(() => generator.view(zeros([1, 3, this.#imageSize, this.#imageSize])).size(2));
    return { side, of: (images) => generator.view(images) };
  }

  /** Members that are kept. */
  get largestK(): number {
    return this.#present.length;
  }

  get parameters(): number {
    return countParameters(this.module.parameters());
  }

  /** Mean over the members: what is really used depends on the routes, which `pathwayFlops` counts. */
  get inferenceFlops(): number {
    return this.#meanFlops(this.k);
  }

  get isOrdered(): boolean {
    return !this.module.isRandom;
  }

  get flopsByK(): number[] {
    return Array.from({ length: this.largestK }, (_, i) => this.#meanFlops(i + 1));
  }

  #meanFlops(k: number): number {
    const shares = this.#members.map((_, i) => (this.#present.includes(i) ? 1 / this.#present.length : 0));
    return this.pathwayFlops(shares, k);
  }

  pathwayFlops(shares: readonly number[], k = this.k): number {
    const { generator, members } = this.costs;
    return generator + k * shares.reduce((sum, p, i) => sum + (p > 0 ? p * (members[i] ?? 0) : 0), 0);
  }

  /** Members that can answer alone, and FLOPs of each with its head, for an image. */
  alone(): { places: number[]; costs: number[] } {
    const { members } = this.costs;
    return { places: [...this.#present], costs: this.#present.map((i) => members[i] ?? 0) };
  }

  /** FLOPs of one image in the generator, and in each member with its head, [m]. */
  get costs(): Costs {
    this.#flops ??= flopsOf(this.module, this.#imageSize);
    return this.#flops;
  }

  timedChoices(): { budgets: BudgetChoice[]; flops: number[] } {
    const { generator, members } = timesOf(this.module, this.#imageSize, this.#present);
    const mean = this.#present.reduce((sum, i) => sum + (members[i] ?? 0), 0) / this.#present.length;
    const budgets = this.budgets.flatMap((choice): BudgetChoice[] => {
      const flops = choice.uses?.reduce((sum, uses, i) => sum + uses * (members[i] ?? 0), generator);
      return flops === undefined ? [] : [{ ...choice, flops }];
    });
    return { budgets, flops: Array.from({ length: this.largestK }, (_, i) => generator + (i + 1) * mean) };
  }

  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    const { backbone, newLayers, generator } = this.module.parameterGroups();
    return this.#fresh
      ? { backbone: [], newLayers: [...backbone, ...newLayers], generator }
      : { backbone, newLayers, generator };
  }

  features(backbone: number, images: Tensor): Tensor {
    const member = this.#members[backbone];
    if (!member) throw new RangeError(`no member ${backbone}`);
    return member.features(images);
  }

  featureFlops(backbone: number): number {
    return this.#members[backbone]?.flops ?? 0;
  }

  standardizers(): readonly Standardize[] {
    this.#isStandardized = true;
    return this.module.standardizers();
  }

  async prepare(batches: BatchSource, signal?: AbortSignal, group?: ProcessGroup): Promise<number> {
    return (await this.#lessons?.prepare(batches, signal, group)) ?? 0;
  }

  get remark(): string | undefined {
    return this.#lessons?.comparesModels === false
      ? "models start equal: no route is random, and exploration lasts, whatever --pathway-warmup and --exploration-fade say"
      : undefined;
  }

  get mixesRows(): boolean {
    return this.#lessons !== undefined;
  }

  step(batch: TrainBatch, progress: number): StepResult {
    return this.#sharing(batch, () => this.#step(batch, progress));
  }

  /** A step alone is shared: what evaluation does is no matter of other ranks. */
  #sharing<T>({ shared }: TrainBatch, step: () => T): T {
    const { module } = this;
    module.part = shared;
    try {
      return step();
    } finally {
      module.part = undefined;
    }
  }

  /** Models that only their own losses teach need not be in memory together. */
  get prefersParts(): boolean {
    return this.module.config.beta === 0 && !this.shards;
  }

  stepInParts(batch: TrainBatch, progress: number, ranges: readonly RowRange[], backward: Backward): PartedStep {
    const request = {
      module: this.module,
      task: this.#task,
      batch,
      progress,
      ranges,
      backward,
      lessons: this.#lessons,
    };
    return this.#sharing(batch, () => accumulatedStep(request));
  }

  #step(batch: TrainBatch, progress: number): StepResult {
    const route = () => this.module.route(batch.images, progress);
    const { device } = batch.images;
    // Ranks that share a batch have the routes of one process, whose parts are routed in float32 (`accumulatedStep`).
    const routing = this.module.config.beta > 0 ? route() : autocast({ device, enabled: false }, route);
    const output = this.module.execute(batch.images, routing, batch.features);
    const credit = this.#lessons?.loss(progress, batch.shared?.group);
    const losses = this.module.losses(
      output,
      (logits, rows) => this.#task.rowLoss(logits, rows ? batch.targets.index_select(0, rows) : batch.targets),
      progress,
      credit,
    );
    this.#lessons?.record(batch, output.members, losses.own);
    return {
      loss: losses.total,
      isWhole: true,
      rows: routing.rows.map((own) => own.length),
      logs: {
        task: losses.task.item(),
        ...(credit ? { credit: credit.item() } : {}),
        exploration: losses.exploration.item(),
        exploitation: losses.exploitation.item(),
        noise: typeof routing.noiseScale === "number" ? routing.noiseScale : routing.noiseScale.mean().item(),
      },
    };
  }

  predict(images: Tensor, stored?: StoredFeatures, variant: Variant = {}): Prediction {
    return this.#predict(images, this.#choiceOf(variant), this.#scores(images), stored);
  }

  isKept(place: number): boolean {
    return this.#present.includes(place);
  }

  answerBy({ k = this.k, confidence, price, models }: ModelChoice): void {
    if (this.module.isRandom) throw new ConfigError("random routes have no order in which models could answer");
    this.#choice = { confidence, price, models };
    this.k = k;
  }

  /** Places of the only models that may answer, where a caller named them. */
  get named(): readonly number[] | undefined {
    return this.#choice.models;
  }

  get budgets(): BudgetChoice[] {
    return this.#budgets.map(({ choice }) => choice);
  }

  /**
   * Answers are one class of each image, whose probability says how sure they are. Only scores in nats can be set against a price: those of a generator that losses teach, of models that differ. What models
   * say together has to follow from what each says alone.
   */
  async measureBudgets(batches: BatchSource, options: EvaluationOptions): Promise<void> {
    if (this.#task.kind !== "classification" || this.module.config.aggregation !== "logits") return;
    if (this.#lessons?.comparesModels !== true) return;
    const answers = batches.stepsPerEpoch * rowsOfBatch * this.#task.outputs;
    const settings = budgetSettings(this.costs.members, this.#present, answers);
    this.#budgets = await measureChoices(this, settings, batches, options);
  }

  /** The rule of a choice of models. */
  ruleBy(choice: ModelChoice): Rule {
    return this.#ruleOf(this.#choiceOf(choice));
  }

  /** Members that are kept, among the named ones if some are, and not left out. */
  #allowed(without: number | undefined, models = this.#present): readonly number[] {
    return this.#present.filter((i) => i !== without && models.includes(i));
  }

  /** Every model once on all images, then each variant's own routes through what they found. */
  predictVariants(images: Tensor, variants: readonly Variant[], known?: StoredFeatures): (Prediction | undefined)[] {
    const stored = this.#allFeatures(images, known);
    const scores = this.#scores(images);
    return variants.map((variant) => {
      const choice = this.#choiceOf(variant);
      const isOrdered = choice.confidence !== undefined || choice.price !== undefined;
      const exists = choice.k >= 1 && (variant.k ?? 1) <= this.largestK && !(isOrdered && this.module.isRandom);
      return exists ? this.#predict(images, choice, scores, stored) : undefined;
    });
  }

  /** What a variant asks for, in place of the predictor's own choice; at most as many models as it may activate. */
  #choiceOf({ without, ...variant }: Variant): Choice {
    const isOwn = Object.keys(variant).length === 0;
    const { k = this.k, confidence, price, models }: Variant = isOwn ? this.#choice : variant;
    const allowed = this.#allowed(without, models);
    return { k: Math.min(k, allowed.length), allowed, confidence, price };
  }

  /** u, [B, m]; none where routes are left to chance. */
  #scores(images: Tensor): Tensor | undefined {
    const { module } = this;
    if (module.isRandom) return undefined;
    const scores = module.generator.forward(images);
    return this.#apart?.agreed(scores) ?? scores;
  }

  /** Scores that losses teach depend on the input as far as that holds. Those of one gate never do, and other scores have no unit. */
  async settle(batches: BatchSource, signal?: AbortSignal): Promise<void> {
    const { module } = this;
    if (module.isRandom) return;
    const isOne = module.config.generatorKind === "global";
    const gate = module.credit === "losses" && !isOne ? this.#lessons?.gate() : undefined;
    const look: Settling["look"] = ({ images, features }) => {
      const stored = this.#allFeatures(images, features);
      return { scores: this.#scores(images) as Tensor, stored };
    };
    try {
      await settleScores({ module, task: this.#task, gate, look }, batches, signal);
    } finally {
      disposeTree(gate);
    }
  }

  /** Every model that may be activated, once on all images. */
  #allFeatures(images: Tensor, known?: StoredFeatures): StoredFeatures {
    const asked = this.#apart?.ask(images, this.#present);
    if (asked) return asked;
    const featuresOf = (member: PathwayMember) => known?.(member.name) ?? member.features(images);
    const present = this.#members.filter((_, i) => this.#present.includes(i));
    const features = new Map(present.map((member) => [member.name, featuresOf(member)]));
    return (name, rows) => {
      const all = features.get(name);
      return rows ? all?.index_select(0, int64(rows, all.device)) : all;
    };
  }

  /** How models are chosen in evaluation, and how much they count. */
  get rule(): Rule {
    return this.#ruleOf(this.#choiceOf({}));
  }

  #ruleOf({ k, allowed, confidence, price }: Choice): Rule {
    const { tau: temperature, k: trainedK } = this.module.config;
    const larger = this.module.temperature().item();
    const weights = { trainedK, temperature, ...(larger > 0 ? { larger } : {}) };
    const members = allowed.map((index) => ({ index, flops: this.costs.members[index] }));
    return { k, weights, members, confidence, price };
  }

  /** A batch with the generator's scores, whose models are asked one by one. */
  ask(images: Tensor, scores: Tensor, stored?: StoredFeatures): AskedBatch {
    return new AskedBatch(this.module, this.#task, images, scores, stored);
  }

  #predict(images: Tensor, choice: Choice, scores?: Tensor, stored?: StoredFeatures): Prediction {
    const { module } = this;
    const { k, allowed, confidence, price } = choice;
    if (scores && (confidence !== undefined || price))
      return predictByRule(this.ask(images, scores, stored), this.#ruleOf(choice));
    const routing = scores
      ? module.routeBy(scores, k, module.tau(k), allowed)
      : module.route(images, undefined, k, allowed);
    const output = module.execute(images, routing, stored);
    const probabilities = this.#task.probabilities(output.logits);
    return { probabilities, weights: routing.weights, ...(scores ? { scores } : {}) };
  }

  /** Random routes may take any member, and budgets those that they were measured with; the generator's first stages are made from a member's, and then loaded. */
  keep(unused: ReadonlySet<string>): Kept {
    const { config, isRandom } = this.module;
    const shared = config.generatorKind === "member-stem" ? this.#members.find(hasStem) : undefined;
    const wanted = (member: PathwayMember, i: number) =>
      isRandom ||
      member === shared ||
      !unused.has(member.name) ||
      this.#budgets.some(({ models }) => models.includes(i));
    const kept = this.#members.filter((member, i) => this.#present.includes(i) && wanted(member, i));
    const members = kept.filter((member) => member instanceof HubMember);
    const planned = this.#members.map((member) => {
      return { name: member.name, featureWidth: member.featureWidth, kept: kept.includes(member) };
    });
    return {
      plan: {
        kind: "pathway",
        members: planned,
        config: { ...config },
        seed: this.#seed,
        standardized: this.#isStandardized,
        budgets: this.budgets,
      },
      members,
      layers: new Map([...layersOf(this.module, this.backbones)].filter(([, layer]) => layer !== this.module.memory)),
    };
  }

  eval(): void {
    this.module.eval();
  }

  dispose(): void {
    this.#lessons?.dispose();
    this.module.dispose();
    for (const member of this.#members) if (member instanceof HubMember) member.dispose();
    this.streams.dispose();
  }
}

function hasStem(member: PathwayMember): boolean {
  return member.stemWidth !== undefined;
}
