/**
 * Hub-Pathway: transfer learning from a hub of pre-trained models (Shu, Cao, Zhang, Wang, Long; NeurIPS 2022).
 *
 * The abstract, and where each of its sentences is (the preset `paper` takes them at their word, see config.ts):
 * - "generates data-dependent pathway weights", "assign the pathway routes at the input level": `route`, for each input x
 *   scores u(x), the k activated models S(x), and their weights a(x);
 * - "noisy pathway generator": generator.ts, and `addNoise` in routing.ts;
 * - "pathway aggregation at the output level": `execute`, and aggregation.ts;
 * - "trained end-to-end with the target task-specific loss", "exploration loss", "each model is further trained by specific
 *   data that activate it": the three terms of `losses`.
 *
 * B batch, m models, k activated models, C outputs of the task, d_i feature width of model i. The equations are this
 * project's reading: only the abstract was at hand.
 */

import { type BatchPart, batchCounts, batchMean, Linear, Module, meanOfMeans, Standardize } from "../nn/index.ts";
import {
  ConfigError,
  full,
  type Generator,
  int64,
  noGrad,
  type RandomStreams,
  scope,
  type Tensor,
  zeros,
} from "../torch/index.ts";
import { type Aggregation, FeatureAggregation, LogitAggregation, type MemberOutput } from "./aggregation.ts";
import type { PathwayConfig } from "./config.ts";
import { BlindStem, PathwayGenerator, type Stem } from "./generator.ts";
import { klExploration } from "./losses.ts";
import type { PathwayMember, StoredFeatures } from "./member.ts";
import {
  addNoise,
  pathwayWeights,
  type Routing,
  randomRoutes,
  restrict,
  routeMask,
  rowsByModel,
  topRoutes,
} from "./routing.ts";

export interface HubPathwayOptions {
  members: readonly PathwayMember[];
  /** Outputs C of the target task. */
  outputs: number;
  config: PathwayConfig;
  /** The run's streams: "init" draws new layers, "noise" the exploration, "random-routes" what evaluation leaves to chance. */
  streams: RandomStreams;
  /** Prior of the exploration loss over the m models; uniform when left out. */
  prior?: readonly number[] | undefined;
  rows?: number | undefined; // training rows N whose losses are remembered, for the credit "losses"
  channels?: number | undefined; // of the inputs: 3 of images (default), or those of an environment's observations
  device?: string | undefined;
}

export interface PathwayOutput {
  /** The aggregate's logits, [B, C]. */
  logits: Tensor;
  routing: Routing;
  /** Results of each activated model; models that no row chose are absent. */
  members: MemberOutput[];
}

/** Loss of the target task for each row, [n]: of logits [n, C] and the batch rows [n] they belong to (all when left out). */
export type RowLoss = (logits: Tensor, rowIndex?: Tensor) => Tensor;

/** The terms of the loss, their weighted sum, and the losses [n] of each activated model on its own rows. */
export type PathwayLosses = Record<"total" | "task" | "exploration" | "exploitation", Tensor> & { own: Tensor[] };

export class HubPathway extends Module {
  config: PathwayConfig;
  readonly members: readonly PathwayMember[];
  readonly generator: PathwayGenerator;
  readonly heads: readonly Linear[];
  readonly aggregation: Aggregation;
  /** The own loss of each model on each training row, [N, m]: -1 where unknown. */
  readonly memory: Tensor | undefined;
  credit: PathwayConfig["credit"]; // what teaches: the choice, unless models start equal; then the whole schedule is another
  part: BatchPart | undefined; // of the batch of a training step, where several ranks share it
  readonly prior: readonly number[] | undefined;
  #standardizers: readonly Standardize[] = [];
  #temperature: Tensor | undefined;
  readonly #streams: RandomStreams;

  constructor(options: HubPathwayOptions) {
    super();
    const { members, streams, outputs, device, config } = options;
    const init = { generator: streams.stream("init"), device };
    this.config = config;
    this.credit = config.credit;
    this.members = members;
    this.prior = options.prior;
    this.#streams = streams;
    for (const member of members) this.module(`members.${member.name}`, member.backbone);
    const widths = members.map((member) => member.featureWidth);
    this.heads = members.map(({ name }, i) =>
      this.module(`heads.${name}`, new Linear(widths[i] as number, outputs, init)),
    );
    const { aggregation, projectionWidth: width } = config;
    const isLinear = aggregation === "logits";
    const joint = isLinear ? new LogitAggregation() : new FeatureAggregation(widths, width, outputs, init);
    this.aggregation = this.module("aggregation", joint);
    if (options.rows) this.memory = this.buffer("memory", full([options.rows, members.length], -1, { device }));
    this.generator = this.module("generator", this.#createGenerator(init.generator, options));
  }

  /** Logits [B, C] of images [B, 3, H, W] in [0, 1], as in evaluation. */
  override forward(images: Tensor): Tensor {
    return scope(() => this.execute(images, this.route(images)).logits);
  }

  /**
   * Scores, routes and weights of a batch. Without `progress` as in evaluation: no noise, every model allowed.
   * @param progress done part of training, 0 … 1
   * @param k number of activated models, for evaluation at another cost than trained for: weights of more models than in
   *   training have the fitted temperature
   * @param allowed models that evaluation may activate; all when left out
   */
  route(images: Tensor, progress?: number, k = this.config.k, allowed?: readonly number[]): Routing {
    if (this.isRandom) return this.#byChance(images, k, allowed, progress === undefined ? "random-routes" : "noise");
    if (progress === undefined) return this.routeBy(this.generator.forward(images), k, this.tau(k), allowed);
    if (progress < this.config.warmup) return this.#byChance(images, k, this.#allowedMembers(progress), "noise");
    const { scores, noiseScale: learned } = this.generator.score(images);
    const noiseScale = learned ?? this.noiseScale(progress);
    const noisy = addNoise(scores, noiseScale, this.#streams.stream("noise"), this.part);
    const noisyScores = restrict(noisy, this.#allowedMembers(progress));
    return this.#routing({ scores, noisyScores, noiseScale }, k, this.config.tau, noisyScores);
  }

  /** Random routes: the control of the generator kind `random`, and the warm-up of the others. */
  #byChance(images: Tensor, k: number, allowed: readonly number[] | undefined, stream: string): Routing {
    const [rows, m] = [images.size(0), this.members.length];
    const zeroes = () => zeros([rows, m], { device: images.device });
    const scores = this.isRandom ? zeroes() : noGrad(() => this.generator.forward(images));
    return this.along(scores, randomRoutes(rows, m, k, this.#streams.stream(stream), allowed, this.part));
  }

  /** Routes of known scores [B, m], as in evaluation. */
  routeBy(scores: Tensor, k: number, tau: number | "equal", allowed?: readonly number[]): Routing {
    return this.#routing({ scores, noisyScores: scores, noiseScale: 0 }, k, tau, restrict(scores, allowed));
  }

  /**
   * Given routes [B][k] with constant weights: equal ones in the warm-up, and in controls without a generator. The generator gets no
   * gradient at all, not even zeros: those would spend the bias correction of its optimizer.
   */
  along(scores: Tensor, routes: readonly (readonly number[])[], tau: number | "equal" = "equal"): Routing {
    const k = routes[0]?.length ?? this.config.k;
    const fixed = scores.detach();
    const weights = pathwayWeights(fixed, routeMask(routes, fixed), k, tau);
    const rows = rowsByModel(routes, this.members.length);
    return { scores: fixed, noisyScores: fixed, noiseScale: 0, weights, rows };
  }

  /**
   * One pass: each model with work runs once, on exactly the rows that chose it.
   * @param stored features that frozen models have computed before
   */
  execute(images: Tensor, routing: Routing, stored?: StoredFeatures): PathwayOutput {
    const members: MemberOutput[] = [];
    const counts = batchCounts(routing.rows, this.part);
    for (const [index, rows] of routing.rows.entries()) {
      if (counts[index]) members.push(this.run(index, rows, images, routing, stored));
    }
    const logits = this.aggregation.join(members, images.size(0), this.config.beta);
    return { logits, routing, members };
  }

  /**
   * The loss of everything that learns: generator, heads, and members.
   *
   *   L = mean over x of l(F(x))                          F(x) = join over i in S(x) of a_i(x) h_i(f_i(x))
   *     + w_explore(t) KL(mean over x of softmax(u(x)) || prior)
   *     + w_exploit mean over i of (mean over x with i in S(x) of l(h_i(f_i(x))))      or the sum over i: "each"
   *     + lossRegression(u, memory) on rows of its own      with credit "losses", where a_i has no gradient
   *
   * The members' gradient of the first term is scaled by beta (`scaleGradient`). The third is a mean of means over the
   * activated models: a mean over all pairs would let a model that few rows choose learn at a fraction of the others'
   * rate, so that its head never catches up (this project's choice).
   */
  losses(output: PathwayOutput, l: RowLoss, progress: number, credit?: Tensor): PathwayLosses {
    const { logits, routing, members } = output;
    const { exploitationWeight } = this.config;
    if (this.credit === "losses" && !credit) throw new ConfigError("credit is losses: it needs a memory of rows");
    const task = batchMean(l(logits), this.part);
    const exploration = klExploration(routing.scores, this.prior, this.part);
    const own = members.map((i) => l(i.logits, i.rowIndex));
    const exploitation = meanOfMeans(own, this.part);
    const total = (credit ? task.add(credit) : task)
      .add(exploration.mul(this.explorationWeight(progress)))
      .add(exploitation.mul(exploitationWeight === "each" ? own.length : exploitationWeight));
    return { total, task, exploration, exploitation, own };
  }

  /** Constants of each model's features, for models that stay as they are; they are part of the state from the first call on. */
  standardizers(): readonly Standardize[] {
    if (this.#standardizers.length > 0) return this.#standardizers;
    this.#standardizers = this.members.map(({ name, featureWidth }, i) => {
      const device = this.heads[i]?.weight.device;
      return this.module(`standardizers.${name}`, new Standardize(featureWidth, { device }));
    });
    return this.#standardizers;
  }

  /**
   * Temperature of the weights when more models are activated than in training: equal weights would give hardly trained
   * ones as much as the others. 0 until it is fitted on validation data; part of the state from the first call on.
   */
  temperature(): Tensor {
    this.#temperature ??= this.buffer("temperature", zeros([], { device: this.heads[0]?.weight.device }));
    return this.#temperature;
  }

  /** Routes are left to chance in all of training and in evaluation. */
  get isRandom(): boolean {
    return this.config.generatorKind === "random";
  }

  /** Scale s of the scheduled noise; it falls linearly. */
  noiseScale(progress: number): number {
    if (this.config.noise === "none") return 0;
    const [first, last] = this.config.noiseRange;
    return first + (last - first) * Math.min(1, Math.max(0, progress));
  }

  /** Weight of the exploration loss; it falls linearly to zero, or is constant. Chance needs none. */
  explorationWeight(progress: number): number {
    const { explorationWeight, explorationFade } = this.config;
    if (this.isRandom) return 0;
    if (explorationFade === "constant") return explorationWeight;
    return explorationFade === 0 ? 0 : explorationWeight * Math.max(0, 1 - progress / explorationFade);
  }

  /** Parameters by how fast they should learn: pre-trained ones, the new layers, the generator. */
  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    return {
      backbone: this.members.flatMap((member) => member.backbone.parameters()),
      newLayers: [...this.heads.flatMap((head) => head.parameters()), ...this.aggregation.parameters()],
      generator: this.generator.parameters(),
    };
  }

  #createGenerator(generator: Generator, { channels, device }: HubPathwayOptions): PathwayGenerator {
    const { generatorKind: kind, generatorWidth: width, generatorSize: size, noise } = this.config;
    const shared = kind === "member-stem" ? stemOf(this.members) : undefined;
    const stem = kind === "global" ? new BlindStem(4 * width) : shared;
    const common = { m: this.members.length, channels, learnedNoise: noise === "learned", generator, device };
    return new PathwayGenerator({ ...common, width, size, stem });
  }

  #routing(decided: Omit<Routing, "weights" | "rows">, k: number, tau: number | "equal", order: Tensor): Routing {
    const routes = topRoutes(order, k);
    const graded = pathwayWeights(decided.noisyScores, routeMask(routes, decided.scores), k, tau);
    const weights = this.credit === "losses" ? graded.detach() : graded;
    return { ...decided, weights, rows: rowsByModel(routes, this.members.length) };
  }

  /** Temperature in evaluation with k models. */
  tau(k: number): number | "equal" {
    const fitted = k > this.config.k ? (this.#temperature?.item() ?? 0) : 0;
    return fitted > 0 ? fitted : this.config.tau;
  }

  /** Members that a step may activate; all of them once exploration is over. */
  #allowedMembers(progress: number): number[] | undefined {
    const { allowedMembers, explorationFade: fade, warmup } = this.config;
    const m = this.members.length;
    const explores = progress < warmup || fade === "constant" || progress < fade;
    if (!explores || allowedMembers >= m) return undefined;
    return randomRoutes(1, m, allowedMembers, this.#streams.stream("noise"))[0];
  }

  /** One model with its head on the rows that activate it. */
  run(index: number, rows: number[], images: Tensor, routing: Routing, stored?: StoredFeatures): MemberOutput {
    const [member, head] = [this.members[index], this.heads[index]];
    if (!member || !head) throw new RangeError(`the hub has no model ${index}`);
    const rowIndex = int64(rows, images.device);
    const own = () => (rows.length === images.size(0) ? images : images.index_select(0, rowIndex));
    const raw = stored?.(member.name, rows) ?? member.features(own());
    const features = this.#standardizers[index]?.forward(raw) ?? raw;
    const logits = head.forward(features);
    const weights = routing.weights.select(1, index).index_select(0, rowIndex).unsqueeze(1);
    return { index, rows, rowIndex, features, logits, weights };
  }
}

function stemOf(members: readonly PathwayMember[]): Stem {
  const member = members.find((own) => own.copyStem && own.stemWidth);
  if (member?.copyStem && member.stemWidth) return { width: member.stemWidth, network: member.copyStem() };
  throw new ConfigError('no model of this hub has first stages to share: use the generator kind "light"');
}
