/** Training for the methods of cells: fits that can be continued, and fine-tuned members that cells have in common. */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { augmentationOf } from "../data/index.ts";
import { sweepTemporaries } from "../io/index.ts";
import { scope } from "../torch/index.ts";
import {
  type AskedFit,
  ClassificationTask,
  type ConfiguredMethod,
  type ContextParts,
  checkpointFiles,
  checkpointVersion,
  type Emit,
  type Evaluation,
  evaluate,
  evaluateVariants,
  fingerprint,
  type HeldOutSplit,
  type Learner,
  type Method,
  type Metrics,
  type Predictor,
  RunContext,
  requestedPrior,
  scaleVersion,
  type TaskData,
  TenCrop,
  tenCropSide,
  versionOf,
} from "../train/index.ts";
import type { ExperimentRequest } from "./experiment.ts";
import type { Plan, Setting } from "./protocol.ts";

/** Metrics of k activated models after training, without training again. */
export interface KFigures {
  k: number;
  validation: Metrics;
  /** Read for a final table only. */
  test?: Metrics;
  inferenceFlops: number;
}

/** Training of a method: fits are kept in the cache while the cell is unfinished, shared ones for other cells too. */
export class CellTraining implements Disposable {
  readonly run: RunContext;
  /** Decisions of the method, and the prior that it was given. */
  readonly decisions: Record<string, unknown>;
  readonly #request: ExperimentRequest;
  readonly #setting: Setting;
  readonly #data: TaskData;
  readonly #method: ConfiguredMethod;
  /** Beginnings of the files of all fits, and of those that only this cell can use. */
  readonly #fits: string[] = [];
  readonly #own: string[] = [];

  /** @throws ConfigError for choices that the method or the hub does not have */
  static async open(
    request: ExperimentRequest,
    setting: Setting,
    plan: Plan,
    method = setting.configured(plan),
  ): Promise<CellTraining> {
    const data = await setting.data();
    const { hub, seed } = setting;
    const emit: Emit = (event) => {
      request.watch?.event(plan.name, event);
      if (event.type === "note") request.say(event.text);
    };
    const prior = await requestedPrior({ hub, data, score: method.prior, seed, emit });
    return new CellTraining(request, setting, plan, { method, data, options: setting.optionsOf(plan), prior, emit });
  }

  private constructor(
    request: ExperimentRequest,
    setting: Setting,
    plan: Plan,
    { method, ...parts }: Pick<ContextParts, "data" | "options" | "prior" | "emit"> & { method: ConfiguredMethod },
  ) {
    this.#method = method;
    this.#request = request;
    this.#setting = setting;
    this.#data = parts.data;
    this.decisions = parts.prior ? { prior: parts.prior.members } : {};
    this.run = new RunContext({
      ...parts,
      hub: setting.hub,
      augmentation: augmentationOf(setting.protocol.target.data),
      splits: request.final ? ["validation", "test"] : ["validation"],
      limits: { validation: this.#limit("validation"), test: this.#limit("test") },
      place: (fit) => this.#place(plan.method, plan.choices, fit),
      decide: async (name, decision) => {
        const value = await decision();
        this.decisions[name] = value;
        return value;
      },
      isMeasured: (epoch, epochs) => this.#isWatched(epoch, epochs),
    });
  }

  train(): Promise<Predictor> {
    return this.run.train(this.#method);
  }

  async measure(predictor: Predictor, split: HeldOutSplit): Promise<Evaluation> {
    const { classes, imageSize } = this.#data;
    if (split !== "test" || !this.#setting.protocol.target.tenCrop) {
      return this.run.measure(predictor, split, new ClassificationTask(classes.length));
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
    const task = new ClassificationTask(this.#data.classes.length);
    const variants = ks.map((k) => ({ k }));
    const validation = await evaluateVariants(predictor, this.run.open("validation", predictor), task, variants);
    const test = this.#request.final
      ? await evaluateVariants(predictor, this.run.open("test", predictor), task, variants)
      : undefined;
    return ks.flatMap((k, i): KFigures[] => {
      const [a, b] = [validation[i], test?.[i]];
      if (!a) return [];
      return [{ k, validation: a.metrics, ...(b ? { test: b.metrics } : {}), inferenceFlops: a.inferenceFlops }];
    });
  }

  /** Removes what no other cell can use: finished fits of others need no training state. */
  clean(): void {
    for (const base of this.#own) rmSync(checkpointFiles(base).weights, { force: true });
    for (const base of this.#fits) rmSync(checkpointFiles(base).state, { force: true });
  }

  [Symbol.dispose](): void {
    this.run[Symbol.dispose]();
  }

  #limit(split: HeldOutSplit): number | undefined {
    const limit = this.#setting.protocol.target.limits?.[split];
    return limit === undefined ? undefined : Math.min(limit, this.#data.counts[split]);
  }

  #isWatched(epoch: number, epochs: number): boolean {
    const { watch } = this.#request;
    const passed = (done: number) => Math.floor((done * (watch?.points ?? 0)) / epochs);
    return watch !== undefined && (epoch === epochs || passed(epoch) > passed(epoch - 1));
  }

  #place(method: Method, choices: Plan["choices"], { name, learner, options, order, shared }: AskedFit) {
    const { hub, protocol } = this.#setting;
    const what = shared
      ? { start: startOf(learner) }
      : { method: method.name, version: versionOf(method, choices), choices: { ...method.defaults, ...choices }, name };
    const { checkpointSeconds: _, keep: __, ...decisive } = options;
    const { source: _source, ...form } = protocol.target.data;
    const data = { ...form, splitHash: this.#data.splitHash, pixels: this.#data.pixelsKey };
    const identity = fingerprint({
      what,
      hub: hub.fingerprint,
      data,
      options: decisive,
      order,
      checkpointVersion,
      scaleVersion: options.frozenViews && scaleVersion,
    });
    const folder = join(this.#request.cache, "fits");
    mkdirSync(folder, { recursive: true });
    sweepTemporaries(folder);
    const checkpoint = join(folder, `${shared ? "shared" : method.name}-${identity}`);
    this.#fits.push(checkpoint);
    if (!shared) this.#own.push(checkpoint);
    return { checkpoint, identity };
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
