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
 * Only the frame is the paper's for certain; this project's choices: T_i is a matrix over the output channels of a filter bank
 * (and its bias), within each group of a grouped convolution; g is the softmax of a linear layer, zero to begin with, on the mean of the input over its pixels;
 * BatchNorm's scale and shift are aggregated without alignment, with one set of statistics, so that the policy `frozen`
 * has none to keep and is refused; images are prepared as the first member's; the lite form trains with the batch's
 * mean gates, as BatchNorm does with means, and keeps their running mean.
 */
import { z } from "zod";
import type { HubManifest, HubMember } from "../hub/index.ts";
import { loadMembers } from "../hub/index.ts";
import { evaluating } from "../models/index.ts";
import { BatchNorm2d, Conv2d, countParameters, Linear, Module } from "../nn/index.ts";
import {
  ConfigError,
  countFlops,
  inferenceMode,
  noGrad,
  RandomStreams,
  scope,
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
import { ZooBatchNorm2d, ZooConv2d, type ZooLayer, type ZooOptions } from "./zoo-layers.ts";

/** Networks of one architecture as one, with a head: images [B, 3, H, W] in [0, 1] to logits [B, C]. */
export class ZooNetwork extends Module {
  readonly head: Linear;
  /** By the position of the layer among the modules of a network. */
  readonly layers: ReadonlyMap<number, ZooLayer>;
  readonly #members: readonly HubMember[];

  constructor(members: readonly HubMember[], outputs: number, options: ZooOptions) {
    super();
    this.#members = members;
    const first = members[0] as HubMember;
    for (const member of members) this.module(`members.${member.name}`, member.backbone);
    this.layers = new Map(aggregated(members).map(([position, parts]) => [position, layerOf(parts, options)]));
    const modules = first.backbone.modules();
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

function layerOf(parts: readonly Module[], options: ZooOptions): ZooLayer {
  if (parts.every((part) => part instanceof Conv2d)) return new ZooConv2d(parts, options);
  if (parts.every((part) => part instanceof BatchNorm2d)) return new ZooBatchNorm2d(parts, options);
  throw new RangeError("the networks differ");
}

/** The layers to aggregate, by position, of each network. */
function aggregated(members: readonly HubMember[]): [number, Module[]][] {
  const networks = members.map((member) => member.backbone.modules());
  return [...(networks[0] ?? []).entries()].flatMap(([position, part]): [number, Module[]][] =>
    isAggregated(part) ? [[position, networks.map((modules) => modules[position] as Module)]] : [],
  );
}

function isAggregated(part: Module): boolean {
  return part instanceof Conv2d || part instanceof BatchNorm2d;
}

/** @throws ConfigError when a network has parameters that are not of a convolution or a BatchNorm */
function refuseOthers(member: HubMember): void {
  const known = new Set(member.backbone.modules().flatMap((part) => (isAggregated(part) ? part.parameters() : [])));
  const others = [...member.backbone.namedParameters()].filter(([, tensor]) => !known.has(tensor)).map(([own]) => own);
  if (others.length === 0) return;
  throw new ConfigError(
    `Zoo-Tuning aggregates convolutions and BatchNorm, and ${member.entry.architecture} networks such as ` +
      `"${member.name}" have other parameters: ${others.slice(0, 3).join(", ")}`,
  );
}

export class ZooLearner implements Learner {
  readonly module: ZooNetwork;
  readonly streams: RandomStreams;
  readonly backbones: readonly Module[];
  readonly memberNames: readonly string[];
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
    return countParameters(this.module.parameters());
  }

  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    const backbone = this.#members.flatMap((member) => member.backbone.parameters());
    const own = new Set(backbone);
    return { backbone, newLayers: this.module.parameters().filter((parameter) => !own.has(parameter)), generator: [] };
  }

  features(_backbone: number, images: Tensor): Tensor {
    return this.module.features(images);
  }

  featureFlops(_backbone: number): number {
    return this.inferenceFlops;
  }

  step(batch: TrainBatch): StepResult {
    const loss = this.#task.rowLoss(this.module.forward(batch.images), batch.targets).mean();
    return { loss, logs: {} };
  }

  predict(images: Tensor): Prediction {
    return { probabilities: this.#task.probabilities(this.module.forward(images)) };
  }

  /** The shared statistics, in the first network's buffers, are kept with the layers: a new network begins with the mean. */
  keep(): Kept {
    const [first] = this.#members as [HubMember];
    const shared = [...first.backbone.namedBuffers()].map(
      ([name, tensor]) => [`members.${first.name}.${name}`, tensor] as const,
    );
    const layers = layersOf(
      this.module,
      this.#members.map((member) => member.backbone),
    );
    return {
      plan: { kind: "zoo", members: [...this.memberNames] },
      members: this.#members,
      layers: new Map([...layers, ...shared]),
    };
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
  return methodOf({ name }, choices, ({ members }, hub, { batchNorm }) => {
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
    return new ZooLearner(members, context.task, context.options.seed, lite);
  } catch (error) {
    for (const member of members) member.dispose();
    throw error;
  }
}

export const zooTuning = zooMethod("zoo-tuning", false);

export const zooTuningLite = zooMethod("zoo-tuning-lite", true);
