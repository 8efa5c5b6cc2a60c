/** What the methods of cells train with: fits that can be continued, and fine-tuned members that cells have in common. */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sweepTemporaries } from "../io/index.ts";
import { MemberLearner } from "../methods/index.ts";
import { findScore } from "../ranking/index.ts";
import { scope } from "../torch/index.ts";
import {
  ClassificationTask,
  checkpointFiles,
  type Evaluation,
  evaluate,
  evaluateVariants,
  FeatureCache,
  type FitChanges,
  fingerprint,
  fit,
  type Learner,
  type MethodContext,
  type Metrics,
  type Predictor,
  type RunEvent,
  rankingPrior,
  reordered,
  type SplitName,
  scaleFeatures,
  scaleVersion,
  type TaskData,
  TenCrop,
  type TrainOptions,
  tenCropSide,
  versionOf,
  withEpochs,
} from "../train/index.ts";
import type { ExperimentRequest } from "./experiment.ts";
import type { Plan, Setting } from "./protocol.ts";

/** What k activated models reach after training, without training again. */
export interface KFigures {
  k: number;
  validation: Metrics;
  /** Read for a final table only. */
  test?: Metrics;
  inferenceFlops: number;
}

/** Images that tell how long a prediction takes where members' features are at hand. */
const timedImages = 16;

/** What a method trains with: fits are kept in the cache while the cell is unfinished, fine-tuned members for others too. */
export class CellTraining {
  seconds = 0;
  flops = 0;
  readonly decisions: Record<string, unknown> = {};
  readonly options: TrainOptions;
  readonly #request: ExperimentRequest;
  readonly #setting: Setting;
  readonly #plan: Plan;
  readonly #data: TaskData;
  /** Beginnings of the files of all fits, and of those that only this cell can use. */
  readonly #fits: string[] = [];
  readonly #own: string[] = [];
  /** Features of members that stay as they are. */
  readonly #features: FeatureCache | undefined;

  constructor(request: ExperimentRequest, setting: Setting, plan: Plan, data: TaskData) {
    this.#request = request;
    this.#setting = setting;
    this.#plan = plan;
    this.#data = data;
    const { protocol, seed } = setting;
    this.options = { ...protocol.options, ...plan.options, epochs: plan.epochs, seed };
    this.#features = this.#featureCache();
  }

  async context(): Promise<MethodContext> {
    const { hub } = this.#setting;
    const { choices } = this.#plan;
    const data = this.#data;
    return {
      hub,
      data,
      task: new ClassificationTask(data.classes.length, this.options.labelSmoothing),
      options: this.options,
      choices,
      prior: await this.#prior(choices["prior"]),
      fit: (name, learner, changes) => this.#fit(name, learner, changes),
      validate: (predictor) => this.measure(predictor, "validation"),
      decide: async (name, decision) => {
        const value = await decision();
        this.decisions[name] = value;
        return value;
      },
      spend: (flops) => {
        this.flops += flops;
      },
    };
  }

  async measure(predictor: Predictor, split: "validation" | "test"): Promise<Evaluation> {
    const { classes, imageSize } = this.#data;
    if (split !== "test" || !this.#setting.protocol.target.tenCrop) {
      const evaluation = await evaluate(predictor, this.#open(split), classes.length);
      return this.#features ? { ...evaluation, secondsPerImage: await this.#secondsPerImage(predictor) } : evaluation;
    }
    const larger = await this.#data.openAt(tenCropSide(imageSize), split, this.#limit(split));
    try {
      return await evaluate(new TenCrop(predictor, imageSize), larger, classes.length);
    } finally {
      larger.dispose();
    }
  }

  /** Accuracy and cost for each k, where the method has one. */
  async sweep(predictor: Predictor): Promise<KFigures[]> {
    if (!predictor.pathwayFlops || this.#request.watch?.everyK === false) return [];
    const ks = predictor.memberNames.map((_, i) => i + 1);
    const classes = this.#data.classes.length;
    const variants = ks.map((k) => ({ k }));
    const validation = await evaluateVariants(predictor, this.#open("validation"), classes, variants);
    const test = await evaluateVariants(predictor, this.#open("test"), classes, variants);
    return ks.flatMap((k, i): KFigures[] => {
      const [a, b] = [validation[i], test[i]];
      return a && b ? [{ k, validation: a.metrics, test: b.metrics, inferenceFlops: a.inferenceFlops }] : [];
    });
  }

  /** Removes what no other cell can use: finished fits of others need no training state. */
  clean(): void {
    for (const base of this.#own) rmSync(checkpointFiles(base).weights, { force: true });
    for (const base of this.#fits) rmSync(checkpointFiles(base).state, { force: true });
  }

  [Symbol.dispose](): void {
    this.#features?.dispose();
  }

  #featureCache(): FeatureCache | undefined {
    const { frozenViews } = this.options;
    if (frozenViews === undefined) return undefined;
    const { hub, protocol } = this.#setting;
    return new FeatureCache({
      hub,
      data: this.#data,
      limits: { validation: this.#limit("validation"), test: this.#limit("test") },
      augment: protocol.target.data.augment,
      options: { ...this.options, frozenViews },
      emit: (event) => event.type === "note" && this.#request.say(event.text),
    });
  }

  /** Of whole predictions, members included. */
  async #secondsPerImage(predictor: Predictor): Promise<number> {
    const few = this.#data.open("validation", Math.min(timedImages, this.#data.counts.validation));
    return (await evaluate(predictor, few, this.#data.classes.length)).secondsPerImage;
  }

  #open(split: "validation" | "test") {
    return this.#features?.open(split) ?? this.#data.open(split, this.#limit(split));
  }

  #limit(split: SplitName): number | undefined {
    const limit = split === "train" ? undefined : this.#setting.protocol.target.limits?.[split];
    return limit === undefined ? undefined : Math.min(limit, this.#data.counts[split]);
  }

  async #fit(
    name: string,
    learner: Learner,
    changes: FitChanges = {},
  ): Promise<{ seconds: number; trainingFlops: number }> {
    const { epochs = this.options.epochs, rate = 1, order = 0 } = changes;
    // All cells keep the last weights: what they spend on validation data must not depend on who watches.
    const options = { ...withEpochs(this.options, epochs), lr: this.options.lr * rate, keep: "last" as const };
    const { hub, protocol } = this.#setting;
    const { method, choices } = this.#plan;
    // Plain fine-tuning from one start is the same whichever method asks for it.
    const shared = learner.constructor === MemberLearner;
    const what = shared
      ? { start: startOf(learner) }
      : { method: method.name, ...versionOf(method), choices: { ...method.defaults, ...choices }, name };
    const { checkpointSeconds: _, keep: __, ...decisive } = options;
    const { source: _source, ...form } = protocol.target.data;
    const data = { ...form, splitHash: this.#data.splitHash, pixels: this.#data.pixelsKey };
    const frozen = options.frozenViews !== undefined;
    const identity = fingerprint({
      what,
      hub: hub.fingerprint,
      data,
      options: decisive,
      order,
      ...(frozen ? { scaleVersion } : {}),
    });
    const folder = join(this.#request.cache, "fits");
    mkdirSync(folder, { recursive: true });
    sweepTemporaries(folder);
    const checkpoint = join(folder, `${shared ? "shared" : method.name}-${identity}`);
    this.#fits.push(checkpoint);
    if (!shared) this.#own.push(checkpoint);
    const before = this.#features?.seconds ?? 0;
    await this.#features?.prepare("validation", learner);
    await this.#features?.prepare("test", learner);
    const batches = reordered((await this.#features?.train(learner)) ?? this.#data.train, order);
    if (frozen) this.flops += await scaleFeatures(learner, batches);
    const { watch } = this.#request;
    const emit = (event: RunEvent) => watch?.event(this.#plan.name, event);
    const watched = async (epoch: number) => {
      const passed = (done: number) => Math.floor((done * (watch?.points ?? 0)) / options.epochs);
      const due = epoch === options.epochs || passed(epoch) > passed(epoch - 1);
      return due ? (await this.measure(learner, "validation")).metrics : undefined;
    };
    const validate = watch ? watched : undefined;
    const validation = () => this.#open("validation");
    const watching = { emit, validate, validation };
    const result = await fit({ fit: name, learner, batches, options, checkpoint, identity, ...watching });
    this.seconds += result.seconds + (this.#features?.seconds ?? 0) - before;
    this.flops += result.trainingFlops + (this.#features?.trainingFlops(learner) ?? 0);
    return result;
  }

  async #prior(name: unknown): Promise<number[] | undefined> {
    if (name === undefined || name === "uniform") return undefined;
    const { hub, seed } = this.#setting;
    const prior = await rankingPrior(hub, this.#data, findScore(String(name)), { seed });
    this.flops += prior.flops;
    this.decisions["prior"] = prior.members;
    return prior.members.map((member) => member.probability);
  }
}

/** A hash of all weights that a learner starts from. */
function startOf(learner: Learner): string {
  const hash = createHash("sha256");
  for (const [name, value] of learner.module.stateDict()) {
    const bytes = scope(() => value.detach().to({ device: "cpu" }).contiguous().toTypedArray());
    hash.update(name).update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}
