/** Hub-Pathway, and the controls that take one part of it away: its choice of routes, or the pre-training of its members. */
import { type HubManifest, loadMembers, loadShared } from "../hub/index.ts";
import {
  defaultPathwayConfig,
  type PathwayConfig,
  type PresetName,
  pathwayShape,
  pathwayVersion,
  resolvePathwayConfig,
} from "../pathway/index.ts";
import { findScore, type RankingScore } from "../ranking/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { Choices, ConfiguredMethod, Method, MethodContext, Predictor, RequestedOptions } from "../train/index.ts";
import { refuseUnknown } from "./choices.ts";
import { freshMembers } from "./from-scratch.ts";
import { PathwayLearner } from "./pathway-learner.ts";

/** Differences of a method from Hub-Pathway. */
interface Variation {
  freshMembers?: boolean;
  /** It has an exploration loss that a prior over the members may guide. */
  takesPrior?: boolean;
  /** Its members may stay as they are, or be trained in parts. */
  freezesMembers?: boolean;
  tunesMembers?: boolean;
  /** Losses may teach its generator. */
  learnsFromLosses?: boolean;
  /** Preset that its choices begin with; a run that may name it itself has none here. */
  preset?: PresetName;
  /** Choices that a run cannot change. */
  fixed?: readonly (keyof PathwayConfig)[];
}

/** A generator that regresses losses learns faster than one that waits for the members (docs/results/credit.md). */
const fastGenerator = 10;

function pathwayMethod(name: string, variation: Variation): Method {
  const { freshMembers: fresh = false, takesPrior = false, learnsFromLosses, preset, fixed = [], ...rest } = variation;
  const own = Object.keys(pathwayShape).filter((choice) => !(fixed as readonly string[]).includes(choice));
  const known = [...own, "prior", ...(preset === undefined ? ["preset"] : [])];

  async function train(context: MethodContext, config: PathwayConfig): Promise<Predictor> {
    const { hub, shards: ranks } = context;
    const shared = ranks && loadShared(hub, ranks.group);
    const learner = new PathwayLearner({
      members: shared?.members ?? (fresh ? freshMembers(context) : loadMembers(hub)),
      shards: ranks && shared && { ...ranks, owners: shared.owners },
      task: context.task,
      config,
      seed: context.options.seed,
      imageSize: context.data.imageSize,
      items: context.data.items("train"),
      prior: context.prior,
      freshMembers: fresh,
    });
    await context.fit("hub-pathway", learner);
    return learner;
  }

  function priorOf({ prior = "uniform" }: Choices): RankingScore | undefined {
    if (prior === "uniform") return undefined;
    if (!takesPrior) throw new ConfigError(`the method ${name} explores nothing that a prior could guide`);
    return findScore(String(prior));
  }

  function configure(choices: Choices, { members }: HubManifest): ConfiguredMethod {
    refuseUnknown(name, choices, known);
    const config = resolvePathwayConfig({ preset, ...choices }, members.length);
    return {
      activated: config.k,
      shardable: !fresh && unshared(config),
      prior: priorOf(choices),
      train: (context) => train(context, config),
    };
  }

  /** Models that stay as they are can be compared before some are chosen (docs/results/choices.md): losses teach, if other choices let them. */
  function completed(choices: Choices, { members }: HubManifest, options: RequestedOptions): Choices {
    const { frozenViews, accumulate = 1 } = options;
    const taught = { ...choices, credit: "losses" };
    if (!learnsFromLosses || choices["credit"] !== undefined || frozenViews === undefined || accumulate > 1)
      return choices;
    const config = allowed({ preset, ...taught }, members.length);
    return config && config.k < members.length ? taught : choices;
  }

  const generatorFactor = ({ credit }: Choices) => (credit === "losses" ? fastGenerator : undefined);

  // Where losses teach, validation images settle scores (two versions by losses of routes), and small last batches had other gradients before.
  const version = ({ credit }: Choices) => pathwayVersion + (credit === "losses" && preset !== "global" ? 3 : 0);
  return { name, version, configure, completed, generatorFactor, defaults: { ...defaultPathwayConfig }, ...rest };
}

/** The choices with their defaults; undefined where they do not go together. */
function allowed(choices: Choices, m: number): PathwayConfig | undefined {
  try {
    return resolvePathwayConfig(choices, m);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** Choices under which more than logits would have to cross between ranks; true where none is made. */
function unshared({ aggregation, credit, generatorKind }: PathwayConfig): true | string {
  if (aggregation === "features")
    return "--aggregation features joins features, which stay with the ranks of their models";
  if (credit === "losses") return "--credit losses compares all models on all images before the first step";
  if (generatorKind === "member-stem") return "the generator kind member-stem needs a model's weights on every rank";
  return true;
}

export const hubPathway: Method = pathwayMethod("hub-pathway", {
  takesPrior: true,
  learnsFromLosses: true,
  freezesMembers: true,
  tunesMembers: true,
});

export const randomRouting: Method = pathwayMethod("random-routing", {
  freezesMembers: true,
  tunesMembers: true,
  preset: "random",
  fixed: ["generatorKind"],
});

export const globalGate: Method = pathwayMethod("global-gate", {
  takesPrior: true,
  learnsFromLosses: true,
  freezesMembers: true,
  tunesMembers: true,
  preset: "global",
  fixed: ["generatorKind"],
});

/** All models always run, so that only weights can depend on the input: by default those of tau = 1. */
export const dense: Method = pathwayMethod("dense", {
  takesPrior: true,
  freezesMembers: true,
  tunesMembers: true,
  preset: "dense",
  fixed: ["k", "allowedMembers"],
});

export const randomMembers: Method = pathwayMethod("random-members", { takesPrior: true, freshMembers: true });
