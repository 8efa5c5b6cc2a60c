/** What is trained of a learner's members: parts of their weights, or small changes beside them that are merged at the end. */
import { GraphModel, TorchScriptModel } from "../graphs/index.ts";
import { setMemberBatchNorm } from "../hub/index.ts";
import { GraphBackbone } from "../models/index.ts";
import {
  type Adapter,
  BatchNorm2d,
  type BiasedLayer,
  blocksOf,
  Conv2d,
  GroupNorm,
  LayerNorm,
  Linear,
  LowRank,
  LowRankWeights,
  Module,
  partsOf,
  Recomputation,
  ScaleShift,
} from "../nn/index.ts";
import { ConfigError, Generator, seedOf, type Tensor, UserError } from "../torch/index.ts";
import type { Learner } from "./learner.ts";
import type { Method } from "./method.ts";
import type { RequestedOptions, TrainOptions } from "./options.ts";
import { parseTune, type Tune } from "./tune.ts";

/** @throws ConfigError when members cannot be trained in parts under the other options, or a name is no member's */
export function checkTune({ tune, frozenViews }: RequestedOptions, method: Method, members: readonly string[]): void {
  if (tune === undefined) return;
  const { named } = parseTune(tune);
  const unknown = [...named.keys()].find((name) => !members.includes(name));
  if (unknown !== undefined) {
    throw new ConfigError(`--tune names "${unknown}", and the hub has no such member; it has: ${members.join(", ")}`);
  }
  if (frozenViews !== undefined) {
    throw new ConfigError("--freeze-members trains nothing of the members: leave --tune out");
  }
  if (!method.tunesMembers) throw new ConfigError(`the method ${method.name} trains members whole: leave --tune out`);
}

/** The adapters of one member, by the names of the layers that they change. */
class Adapters extends Module {
  readonly all: readonly Adapter[];

  constructor(made: ReadonlyMap<string, Adapter>) {
    super();
    this.all = [...made].map(([name, adapter]) => this.module(name, adapter));
  }

  override forward(): Tensor {
    throw new Error("adapters change the layers of a member: call the member");
  }
}

/** One member in training. */
interface Tuned {
  readonly backbone: Module;
  readonly tune: Tune;
  readonly adapters?: Adapters;
  readonly detach?: () => void;
}

const still: Tune = { kind: "head" };
const whole: Tune = { kind: "all" };

/** What is trained of a learner's members, from the start of a fit until `merge`. */
export class Tuning {
  readonly #members: readonly Tuned[];

  /**
   * Freezes what stays as it is, and adds what is trained beside it.
   * @throws UserError naming a member that cannot be trained so
   */
  constructor(learner: Learner, { tune, frozenViews, seed }: TrainOptions) {
    const { named, others } = parseTune(tune ?? "all");
    // A learner that trains nothing of its members has nothing to restrict.
    const isTrained = learner.parameterGroups().backbone.length > 0;
    this.#members = learner.backbones.map((backbone, i): Tuned => {
      const name = learner.memberNames[i] ?? "";
      const asked = frozenViews === undefined ? (named.get(name) ?? others) : still;
      const own = isTrained || asked === still ? asked : whole;
      if (own.kind === "all") return { backbone, tune: own };
      backbone.requiresGrad_(false);
      for (const parameter of trainedPart(backbone, own, name)) parameter.requires_grad = true;
      const made = adaptersOf(backbone, own, name, seedOf(seed, `tune.${name}`));
      if (!made) return { backbone, tune: own };
      const adapters = new Adapters(made);
      return { backbone, tune: own, adapters, detach: learner.module.attach(`adapters.${name}`, adapters) };
    });
  }

  /** Parameters beside the members' own. */
  get added(): Tensor[] {
    return this.#members.flatMap(({ adapters }) => adapters?.parameters() ?? []);
  }

  /** Members that stay as they are compute as in evaluation; of those that are trained in part, BatchNorm does. */
  setModes(): void {
    for (const { backbone, tune } of this.#members) {
      if (tune.kind === "all") continue;
      setMemberBatchNorm([backbone], "frozen");
      if (tune.kind === "head") backbone.eval();
    }
  }

  /** Position of the first member whose BatchNorm would take the statistics of batches; -1 where none does. */
  usesBatchStatistics(): number {
    return this.#members.findIndex(
      ({ backbone, tune }) => tune.kind === "all" && backbone.modules().some((part) => part instanceof BatchNorm2d),
    );
  }

  /** Lets the blocks of members forget their activations until the backward pass comes to them; the caller disposes it. */
  forgetActivations(): Recomputation {
    return new Recomputation(
      this.#members.flatMap(({ backbone, adapters }) =>
        blocksOf(backbone).map((block) => {
          return { block, trains: adapters !== undefined || block.parameters().some((own) => own.requires_grad) };
        }),
      ),
    );
  }

  /** Writes what was trained beside the members into their weights, so that plain networks are left. */
  merge(): void {
    for (const { adapters, detach } of this.#members) {
      for (const adapter of adapters?.all ?? []) adapter.merge();
      detach?.();
      adapters?.dispose();
    }
  }
}

/** The parameters of a member that are trained. */
function trainedPart(backbone: Module, tune: Tune, name: string): Tensor[] {
  if (tune.kind === "bitfit") {
    const biases = [...backbone.namedParameters()].filter(([key]) => /bias$/i.test(key)).map(([, bias]) => bias);
    return biases.length > 0 ? biases : refuse(name, "bitfit", "has no biases that its file names so");
  }
  if (tune.kind !== "last") return [];
  if (backbone instanceof GraphBackbone) refuse(name, "last:N", "is a graph, which does not say what its blocks are");
  const parts = partsOf(backbone);
  const blocks = blocksOf(backbone);
  const first = blocks.at(-tune.blocks);
  if (!first || blocks.length <= tune.blocks) return backbone.parameters();
  return parts.slice(parts.indexOf(first)).flatMap((part) => part.parameters());
}

function refuse(name: string, tune: string, why: string): never {
  throw new UserError(
    `--tune ${tune}: the member "${name}" ${why}; give it another: --tune "${name}=all" or "${name}=head"`,
  );
}

/** What is trained beside a member; undefined where nothing is. */
function adaptersOf(backbone: Module, tune: Tune, name: string, seed: number): Map<string, Adapter> | undefined {
  if (tune.kind !== "lora" && tune.kind !== "ssf") return undefined;
  const made = new Map<string, Adapter>();
  using generator = new Generator(seed);
  if (backbone instanceof GraphBackbone && backbone.graph instanceof TorchScriptModel) {
    refuse(name, tune.kind, "is a TorchScript program, whose layers cannot be reached");
  }
  for (const [key, layer] of namedModules(backbone)) {
    const adapter = tune.kind === "ssf" ? scaleShift(layer) : lowRank(layer, tune.rank, generator);
    if (adapter) made.set(key, adapter);
  }
  if (made.size > 0) return made;
  return refuse(
    name,
    tune.kind,
    tune.kind === "lora" ? "has no linear layers or convolutions" : "has no layers with biases",
  );
}

function scaleShift(layer: Module): Adapter | undefined {
  const isKnown = [Linear, Conv2d, BatchNorm2d, GroupNorm, LayerNorm].some((kind) => layer instanceof kind);
  // A convolution without bias has a norm behind it, whose scale and shift can do the same.
  return isKnown && (layer as BiasedLayer).bias !== undefined ? new ScaleShift(layer as BiasedLayer) : undefined;
}

function lowRank(layer: Module, rank: number, generator: Generator): Adapter | undefined {
  if (layer instanceof Linear) return new LowRank(layer, rank, generator);
  if (layer instanceof Conv2d) return layer.groups === 1 ? new LowRank(layer, rank, generator) : undefined;
  const weights = new Map([...layer.ownParameters()].filter(([key, own]) => isMatrix(key, own, layer)));
  return weights.size > 0 ? new LowRankWeights(layer, weights, rank, generator) : undefined;
}

/** A matrix or filters that a module reads itself; graphs give their weights any name. */
function isMatrix(key: string, { shape }: Tensor, owner: Module): boolean {
  const [out = 0, into = 0] = shape;
  const isNamed = key.endsWith("weight") || owner instanceof GraphModel;
  return isNamed && (shape.length === 2 || shape.length === 4) && out > 1 && into > 1;
}

/** A module and everything under it by dotted names; each once. */
function namedModules(root: Module): Map<string, Module> {
  const seen = new Set<Module>();
  const named = new Map<string, Module>();
  const visit = (prefix: string, module: Module): void => {
    if (seen.has(module)) return;
    seen.add(module);
    named.set(prefix, module);
    for (const [name, child] of module.children()) visit(prefix === "" ? name : `${prefix}.${name}`, child);
  };
  visit("", root);
  return named;
}
