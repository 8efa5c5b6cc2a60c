/**
 * The choices of the method: type, range, default, help and flag of each in one place. The paper's abstract leaves them
 * open. The defaults won on validation data (docs/results/choices.md) and switch off some of what the abstract names, which
 * the preset `paper` has.
 */
import { z } from "zod";
import { ConfigError } from "../torch/errors.ts";
import { must, type Setting, settings } from "../torch/setting.ts";

/** Raised when the same choices train to another network: part of the identity of runs and of cells of comparisons. */
export const pathwayVersion = 2;

const part = z.number().min(0).max(1);
const weight = z.number().min(0);

/** A choice that is registered has a flag; the others are made with --choice. */
function flag<S extends z.ZodType>(schema: S, value: string, help: string, more: Partial<Setting> = {}): S {
  settings.add(schema, { group: "Pathways", value, help, ...more });
  return schema;
}
const kinds = <const T extends readonly string[]>(...names: T) => z.enum(names).default(names[0] as T[number]);
const orWord = <const W extends string>(number: z.ZodNumber, word: W) => z.union([number, z.literal(word)]);
const whole = (most: number) => z.int().min(1).max(most);

export const pathwayShape = {
  /** Number of activated models k for each input, 1 … m. */
  k: flag(z.int().min(1).default(2), "<n>", "activated models for each image, at most the hub's", { group: "Models" }),
  aggregation: flag(kinds("logits", "features"), "<name>", "how outputs are joined"),
  /**
   * Temperature of the weights over the activated models: 1 renormalises softmax(u~), larger is flatter. "equal" gives
   * each 1/k and the generator the gradient of temperature 1 (straight-through).
   */
  tau: flag(orWord(z.number().min(1e-3), "equal").default("equal"), "<t|equal>", "temperature of the models' weights"),
  /** Noise on the scores while training: a falling scale, a learned one, or none. */
  noise: flag(kinds("scheduled", "learned", "none"), "<kind>", "noise on the scores"),
  /** First and last scale of the scheduled noise. */
  noiseRange: z.tuple([weight, weight]).default([1, 0.1]),
  /**
   * The generator's teacher: the task's loss through the weights, or the models' own losses on training rows, in nats, which
   * a memory keeps (this project's choice; the abstract has the first).
   */
  credit: flag(kinds("weights", "losses"), "<name>", "generator's teacher", { usually: "weights; losses if frozen" }),
  /** Weight of KL(mean of softmax(u) over the batch || prior). */
  explorationWeight: flag(weight.default(0.1), "<w>", "weight of the exploration loss at the start"),
  /** Exploration ends with it; "constant" holds it. */
  explorationFade: flag(
    orWord(part, "constant").default(0.5),
    "<part|constant>",
    "part of training over which it falls to zero",
  ),
  exploitationWeight: flag(orWord(weight, "each").default(1), "<w|each>", "weight of own losses' mean, or their sum"),
  /** None keeps the members complementary (docs/results/choices.md). */
  beta: flag(part.default(0), "<part>", "part of the aggregate's loss that reaches the models"),
  /** Their weights are equal, and the generator does not learn from them. */
  warmup: flag(part.default(0.15), "<part>", "part of training with random routes", { flag: "pathwayWarmup" }),
  /** Shared width D of projected features, for the aggregation `features`. */
  projectionWidth: whole(2 ** 16).default(128),
  /** While exploring, warm-up included; all when the hub is not larger. */
  allowedMembers: flag(z.int().min(1).default(8), "<n>", "models that one training step may touch", {
    group: "Models",
  }),
  /** Largest side of the generator's view of the input, in pixels. */
  generatorSize: whole(2 ** 12).default(64),
  /** Channels of the generator's first stage. */
  generatorWidth: whole(2 ** 10).default(8),
  /**
   * An own light network, or a frozen copy of the first stages of the hub's first member that has them. Controls: one
   * learned score of each model whatever the input, or routes by chance with equal weights, in evaluation too.
   */
  generatorKind: kinds("light", "member-stem", "global", "random"),
};

const schema = z.object(pathwayShape);

export type PathwayConfig = z.output<typeof schema>;

export const defaultPathwayConfig: PathwayConfig = schema.parse({});

/**
 * Named sets of choices for a hub of m models; single choices go before them.
 *
 * `paper` is the most literal reading of the abstract: learned noise, softmax weights over the activated models, the task
 * loss reaching members and generator ("end-to-end"), exploration to the end, and no random warm-up. `default` has none
 * of these: on validation data they were no better (docs/results/choices.md), and README says what each is thought to do.
 */
export const presets = {
  default: () => ({}),
  paper: (m) => ({ noise: "learned", tau: 1, beta: 1, explorationFade: "constant", warmup: 0, allowedMembers: m }),
  random: () => ({ generatorKind: "random" }),
  global: () => ({ generatorKind: "global" }),
  dense: (m) => ({ k: m, tau: 1, allowedMembers: m }),
} satisfies Readonly<Record<string, (m: number) => Partial<PathwayConfig>>>;

export type PresetName = keyof typeof presets;

/**
 * Fills in the defaults and checks the choices against a hub of m models.
 * @throws ConfigError when one is out of range, naming it.
 */
export function resolvePathwayConfig(choices: Readonly<Record<string, unknown>>, m: number): PathwayConfig {
  const { preset = "default", ...own } = choices;
  if (typeof preset !== "string" || !Object.hasOwn(presets, preset))
    throw new ConfigError(`preset is ${preset}: it must be one of ${Object.keys(presets).join(", ")}`);
  const given: Record<string, unknown> = { ...presets[preset as PresetName](m), ...own };
  const parsed = schema.safeParse(given);
  const name = parsed.error?.issues[0]?.path[0] as keyof PathwayConfig | undefined;
  const { k, allowedMembers } = parsed.data ?? {};
  if (name === "k" || (k !== undefined && k > m))
    throw new ConfigError(
      `k is ${given["k"] ?? k}: it must be a whole number from 1 to ${m}, the number of models in the hub`,
    );
  if (!parsed.success)
    throw new ConfigError(
      `${name} is ${name && given[name]}: it must be ${name ? must(pathwayShape[name]) : "a choice"}`,
    );
  const { credit, noise, generatorKind } = parsed.data;
  const idle = [noise, generatorKind].find((name) => ["learned", "random", "member-stem"].includes(name));
  if (credit === "losses" && idle) throw new ConfigError(`credit is losses, which cannot teach with ${idle}`);
  if (allowedMembers !== undefined && allowedMembers < parsed.data.k)
    throw new ConfigError(`allowedMembers is ${allowedMembers}: it must be at least k, which is ${parsed.data.k}`);
  return parsed.data;
}
