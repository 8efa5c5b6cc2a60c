/**
 * Zoo-Tuning (Shu, Kou, Cao, Wang & Long, "Zoo-Tuning: Adaptive Transfer from a Zoo of Models", ICML 2021, section 3): all
 * networks of a zoo, of one architecture, become one network whose layers aggregate theirs,
 *
 *   W(x) = Σ_i g_i(x) T_i(W_i),
 *
 * T_i aligns the channels of network i and starts as the identity; the gates g come from the layer's own input.
 * Everything is trained. In the lite form the gates are their mean over time, so that after training the aggregation is
 * done once and the network costs what one member costs.
 *
 * Gates are sigmoids of two layers with a bottleneck; only filters of more than a pixel are aligned. BatchNorm is not
 * aggregated: its scale and shift begin with the networks' mean, its statistics anew. All that is aggregated learns at one rate,
 * and alignments do not decay.
 *
 * This project's choices: T_i is a matrix over the output channels, within each group of a grouped convolution; the head has
 * the rate of every method's head; there are no statistics for the policy `frozen` to keep, which is refused; images are
 * prepared as the first member's; the lite form trains with the batch's mean gates and keeps their running mean.
 */
import { z } from "zod";
import type { HubManifest, HubMember } from "../hub/index.ts";
import { loadMembers } from "../hub/index.ts";
import { evaluating } from "../models/index.ts";
import { BatchNorm2d, Conv2d, countParameters, init, Linear, Module } from "../nn/index.ts";
import {
  ConfigError,
  countFlops,
  inferenceMode,
  noGrad,
  RandomStreams,
  scope,
  stack,
  type Tensor,
  zeros,
} from "../torch/index.ts";
import {
  type Kept,
  type Learner,
  layersOf,
  type Method,
  type MethodContext,
  type Prediction,
  type StepResult,
  type Task,
  type TrainBatch,
} from "../train/index.ts";
import { methodOf, requireMembers } from "./choices.ts";
import { memberLearner } from "./fine-tune.ts";
import type { MemberLearner } from "./member-learner.ts";
import { ZooConv2d, type ZooOptions } from "./zoo-layers.ts";

/** Networks of one architecture as one, with a head: images [B, 3, H, W] in [0, 1] to logits [B, C]. */
export class ZooNetwork extends Module {
  readonly head: Linear;
  /** By the position of the convolution among the modules of a network. */
  readonly layers: ReadonlyMap<number, ZooConv2d>;
  /** The first network's, which serve all. */
  readonly norms: ReadonlyMap<number, BatchNorm2d>;
  readonly #members: readonly HubMember[];

  constructor(members: readonly HubMember[], outputs: number, options: ZooOptions) {
    super();
    this.#members = members;
    const first = members[0] as HubMember;
    for (const member of members) this.module(`members.${member.name}`, member.backbone);
    const convolutions = partsOf(members, Conv2d);
    this.layers = new Map(convolutions.map(([position, parts]) => [position, new ZooConv2d(parts, options)]));
    const modules = first.backbone.modules();
    this.norms = new Map(partsOf([first], BatchNorm2d).map(([position, [part]]) => [position, part as BatchNorm2d]));
    for (const [position, layer] of this.layers) {
      this.module(`layers.${position}`, layer);
      (modules[position] as Module).replace(layer);
    }
    this.head = this.module("head", new Linear(first.featureWidth, outputs, options));
  }

  features(images: Tensor): Tensor {
    return (this.#members[0] as HubMember).features(images);
  }

  override forward(images: Tensor): Tensor {
    return this.head.forward(this.features(images));
  }

  /** Forgets what evaluation keeps of the parameters. */
  forget(): void {
    for (const layer of this.layers.values()) layer.forget();
  }

  override dispose(): void {
    this.forget();
    super.dispose();
  }
}

/** The modules of a class in each network, by position. */
function partsOf<T extends Module>(members: readonly HubMember[], kind: new (...args: never[]) => T): [number, T[]][] {
  const networks = members.map((member) => member.backbone.modules());
  return [...(networks[0] ?? []).keys()].flatMap((position): [number, T[]][] => {
    const parts = networks.map((modules) => modules[position]).filter((part): part is T => part instanceof kind);
    return parts.length === members.length ? [[position, parts]] : [];
  });
}

/** Gives each BatchNorm of the first network the mean scale and shift of all, and statistics of nothing yet. */
export function meanNorms(members: readonly HubMember[]): void {
  for (const [, parts] of partsOf(members, BatchNorm2d)) {
    const [first] = parts as [BatchNorm2d];
    const mean = (of: (part: BatchNorm2d) => Tensor) => stack(parts.map(of)).mean(0);
    scope(() =>
      noGrad(() => {
        first.weight.copy_(mean((part) => part.weight));
        first.bias.copy_(mean((part) => part.bias));
      }),
    );
    init.constant_(first.running_mean, 0);
    init.constant_(first.running_var, 1);
    init.constant_(first.num_batches_tracked, 0);
  }
}

/** Layers that are made of those of all networks; a convolution that pads by itself would lose its padding. */
const isAggregated = (part: Module): boolean =>
  part instanceof Conv2d ? part.convolve === Conv2d.prototype.convolve : part instanceof BatchNorm2d;

/** @throws ConfigError when a network has parameters that are not of a convolution or a BatchNorm */
function refuseOthers(member: HubMember): void {
  const known = new Set(member.backbone.modules().flatMap((part) => (isAggregated(part) ? part.parameters() : [])));
  const others = [...member.backbone.namedParameters()].filter(([, tensor]) => !known.has(tensor)).map(([own]) => own);
  if (others.length === 0) return;
  throw new ConfigError(
    `Zoo-Tuning aggregates plain convolutions and BatchNorm, and ${member.entry.architecture} networks such as ` +
      `"${member.name}" have other parameters: ${others.slice(0, 3).join(", ")}`,
  );
}

export class ZooLearner implements Learner {
  readonly mixesRows = true;
  readonly module: ZooNetwork;
  readonly streams: RandomStreams;
  readonly backbones: readonly Module[];
  readonly memberNames: readonly string[];
  /** The alignments, which would lose the filters. */
  readonly undecayed: ReadonlySet<Tensor>;
  #inferenceFlops: number | undefined;
  readonly #members: readonly HubMember[];
  readonly #task: Task;

  constructor(members: readonly HubMember[], task: Task, seed: number, lite: boolean) {
    this.streams = new RandomStreams(seed);
    this.#members = members;
    this.#task = task;
    this.module = new ZooNetwork(members, task.outputs, { lite, generator: this.streams.stream("init") });
    const first = members[0] as HubMember;
    this.backbones = [first.backbone];
    this.memberNames = members.map((member) => member.name);
    this.undecayed = new Set([...this.module.layers.values()].flatMap(({ alignments }) => alignments));
  }

  /** FLOPs of one more image: alignment, and in the lite form aggregation, is done once for all images. */
  get inferenceFlops(): number {
    this.#inferenceFlops ??= evaluating(this.module, () => {
      this.#passFlops(1);
      return this.#passFlops(2) - this.#passFlops(1);
    });
    return this.#inferenceFlops;
  }

  #passFlops(n: number): number {
    const { size } = (this.#members[0] as HubMember).entry.input;
    const { device } = this.module.head.weight;
    const pass = () => inferenceMode(() => this.module.forward(zeros([n, 3, size, size], { device })));
    return scope(() => countFlops(pass));
  }

  get parameters(): number {
    return countParameters(this.#used());
  }

  /** All but the BatchNorm of the other networks. */
  #used(): Tensor[] {
    const norms = this.#members.slice(1).flatMap(({ backbone }) => backbone.modules());
    const unused = new Set(norms.flatMap((part) => (part instanceof BatchNorm2d ? part.parameters() : [])));
    return this.module.parameters().filter((parameter) => !unused.has(parameter));
  }

  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    const newLayers = this.module.head.parameters();
    return { backbone: this.#used().filter((parameter) => !newLayers.includes(parameter)), newLayers, generator: [] };
  }

  features(_backbone: number, images: Tensor): Tensor {
    return this.module.features(images);
  }

  featureFlops(_backbone: number): number {
    return this.inferenceFlops;
  }

  step(batch: TrainBatch): StepResult {
    const share = (part: TrainBatch["shared"]) => {
      for (const { gate } of this.module.layers.values()) gate.part = part;
    };
    share(batch.shared);
    try {
      const loss = this.#task.rowLoss(this.module.forward(batch.images), batch.targets).mean();
      return { loss, logs: {} };
    } finally {
      share(undefined);
    }
  }

  predict(images: Tensor): Prediction {
    return { probabilities: this.#task.probabilities(this.module.forward(images)) };
  }

  keep(): Kept {
    const layers = layersOf(
      this.module,
      this.#members.map((member) => member.backbone),
    );
    return { plan: { kind: "zoo", members: [...this.memberNames] }, members: this.#members, layers };
  }

  eval(): void {
    this.module.eval();
    this.module.forget();
  }

  dispose(): void {
    this.module.dispose();
    this.streams.dispose();
  }
}

/** One plain network with the aggregated parameters of the lite form, into a learner of the first member's. */
export function mergeInto(plain: MemberLearner, zoo: ZooNetwork): void {
  const modules = (plain.backbones[0] as Module).modules();
  scope(() =>
    noGrad(() => {
      for (const [position, layer] of zoo.layers) {
        (modules[position] as Module).loadStateDict(layer.merged(layer.gate.average.unsqueeze(0)));
      }
      for (const [position, part] of zoo.norms) (modules[position] as Module).loadStateDict(part.stateDict());
      plain.module.head.loadStateDict(zoo.head.stateDict());
    }),
  );
}

const choices = z.object({
  /** Members of the zoo, the first of which prepares the images; all when left out. */
  members: z.array(z.string()).min(1).optional(),
});

/** Names of the zoo. @throws ConfigError naming members of another architecture or configuration than the first */
function zooNames(name: string, named: readonly string[] | undefined, hub: HubManifest): string[] {
  requireMembers(named ?? [], hub);
  const entries = named ? named.flatMap((own) => hub.members.filter((entry) => entry.name === own)) : hub.members;
  const kind = ({ architecture, config, weights }: (typeof entries)[number]) =>
    JSON.stringify([architecture, weights.format === "safetensors" ? Object.entries(config).sort() : weights.sha256]);
  const [first] = entries;
  const others = entries.filter((entry) => first && kind(entry) !== kind(first)).map((entry) => entry.name);
  if (others.length === 0) return entries.map((entry) => entry.name);
  throw new ConfigError(
    `${name} needs members of one architecture and configuration; unlike "${first?.name}" are: ${others.join(", ")}; ` +
      `name those that fit with --choice 'members=["NAME", …]'`,
  );
}

function zooMethod(name: string, lite: boolean): Method {
  return methodOf({ name, version: 2 }, choices, ({ members }, hub, { batchNorm }) => {
    const names = zooNames(name, members, hub);
    if (batchNorm === "frozen") {
      throw new ConfigError(
        `${name} has no statistics from pre-training to keep: use --batch-norm batch or recalibrated`,
      );
    }
    return async (context) => {
      if (context.hub.residency) {
        throw new ConfigError(`${name} uses all members at once: leave out --hub-memory`);
      }
      const learner = zooLearner(context, names, lite);
      await context.fit("zoo", learner);
      if (!lite) return learner;
      const plain = memberLearner(names[0] ?? "", context);
      mergeInto(plain, learner.module);
      learner.dispose();
      return plain;
    };
  });
}

function zooLearner(context: MethodContext, names: readonly string[], lite: boolean): ZooLearner {
  const members = loadMembers(context.hub, { names });
  try {
    refuseOthers(members[0] as HubMember);
    meanNorms(members);
    return new ZooLearner(members, context.task, context.options.seed, lite);
  } catch (error) {
    for (const member of members) member.dispose();
    throw error;
  }
}

export const zooTuning = zooMethod("zoo-tuning", false);

export const zooTuningLite = zooMethod("zoo-tuning-lite", true);
