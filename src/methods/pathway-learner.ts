/** Hub-Pathway as a learner of the training loop; with random routes instead of the generator's as a control. */
import type { HubMember } from "../hub/index.ts";
import type { Module } from "../nn/index.ts";
import { HubPathway, type PathwayConfig, type Routing, randomRoutes } from "../pathway/index.ts";
import { noGrad, RandomStreams, type Tensor } from "../torch/index.ts";
import type { Learner, Prediction, StepResult, Task, TrainBatch } from "../train/index.ts";

export interface PathwayLearnerOptions {
  members: readonly HubMember[];
  task: Task;
  config: Partial<PathwayConfig>;
  seed: number;
  imageSize: number;
  /** Routes drawn at random, in training and evaluation: what the generator's choice is worth. */
  randomRoutes?: boolean;
  prior?: readonly number[] | undefined;
  device?: string | undefined;
}

export class PathwayLearner implements Learner {
  readonly module: HubPathway;
  readonly streams: RandomStreams;
  readonly backbones: readonly Module[];
  readonly memberNames: readonly string[];
  readonly #members: readonly HubMember[];
  readonly #task: Task;
  readonly #random: boolean;
  readonly #generatorFlops: number;
  /** Activated models in evaluation; may be set to another cost than trained for. */
  k: number;

  constructor(options: PathwayLearnerOptions) {
    this.streams = new RandomStreams(options.seed);
    this.#members = options.members;
    this.#task = options.task;
    this.#random = options.randomRoutes ?? false;
    this.backbones = options.members.map((member) => member.backbone);
    this.memberNames = options.members.map((member) => member.name);
    this.module = new HubPathway({
      members: options.members,
      outputs: options.task.outputs,
      config: options.config,
      streams: this.streams,
      prior: options.prior,
      device: options.device,
    });
    this.k = this.module.config.k;
    this.#generatorFlops = this.#random ? 0 : this.module.generator.flops(options.imageSize);
  }

  get parameters(): number {
    return this.module.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0);
  }

  /** Mean over the members: what is really used depends on the routes, which `pathwayFlops` counts. */
  get inferenceFlops(): number {
    const mean = this.#members.reduce((sum, member) => sum + member.flops, 0) / this.#members.length;
    return this.#generatorFlops + this.k * mean;
  }

  /** FLOPs of one image when models are activated with the given shares (summing to one). */
  pathwayFlops(shares: readonly number[]): number {
    return this.#generatorFlops + this.k * shares.reduce((sum, p, i) => sum + p * (this.#members[i]?.flops ?? 0), 0);
  }

  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    return this.module.parameterGroups();
  }

  features(backbone: number, images: Tensor): Tensor {
    const member = this.#members[backbone];
    if (!member) throw new RangeError(`no member ${backbone}`);
    return member.features(images);
  }

  step(batch: TrainBatch, progress: number): StepResult {
    const routing = this.#random ? this.#randomRouting(batch.images) : this.module.route(batch.images, progress);
    const output = this.module.execute(batch.images, routing);
    const losses = this.module.losses(
      output,
      (logits, rows) => this.#task.rowLoss(logits, rows ? batch.targets.index_select(0, rows) : batch.targets),
      this.#random ? 1 : progress,
    );
    const rows = routing.rows.map((own) => own.length);
    const flops = rows.reduce((sum, n, i) => sum + n * (this.#members[i]?.flops ?? 0), 0);
    return {
      loss: losses.total,
      rows,
      flops: flops + batch.images.size(0) * this.#generatorFlops,
      logs: {
        task: losses.task.item(),
        exploration: losses.exploration.item(),
        exploitation: losses.exploitation.item(),
        noise: typeof routing.noiseScale === "number" ? routing.noiseScale : routing.noiseScale.mean().item(),
      },
    };
  }

  predict(images: Tensor): Prediction {
    const routing = this.#random ? this.#randomRouting(images) : this.module.route(images, undefined, this.k);
    const output = this.module.execute(images, routing);
    return { probabilities: this.#task.probabilities(output.logits), weights: routing.weights };
  }

  eval(): void {
    this.module.eval();
  }

  dispose(): void {
    this.module.dispose();
    this.streams.dispose();
  }

  #randomRouting(images: Tensor): Routing {
    const scores = noGrad(() => this.module.generator.forward(images));
    const stream = this.streams.stream(this.module.training ? "noise" : "random-routes");
    return this.module.along(scores, randomRoutes(images.size(0), this.#members.length, this.k, stream));
  }
}
