/** The choices of methods: read once, by the schema of the method, which gives types and defaults. */
import { z } from "zod";
import type { HubManifest } from "../hub/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { Choices, ConfiguredMethod, Method, RequestedOptions } from "../train/index.ts";

/** Name of a member of the hub; whoever takes it checks that there is one. */
export const member = z.string().min(1).optional();
/** Weight of a part of a loss. */
export const weight = z.number().min(0);

/**
 * The choices as a schema gives them.
 * @throws ConfigError naming each choice that the method does not have, with those that it has, or whose value is wrong
 */
function parseChoices<S extends z.ZodObject>(method: string, schema: S, choices: Choices): z.output<S> {
  refuseUnknown(method, choices, Object.keys(schema.shape));
  const parsed = schema.safeParse(choices);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "choices"}: ${issue.message}`);
  throw new ConfigError(`the method ${method} cannot have these choices: ${issues.join("; ")}`);
}

/** What a method does with its choices: refuses what this hub does not have, and says how it trains. */
export type Configure<S extends z.ZodObject> = (
  choices: z.output<S>,
  hub: HubManifest,
  options: RequestedOptions,
) => ConfiguredMethod["train"];

/** What a method says of itself, apart from its choices. */
export type MethodTraits = Omit<Method, "defaults" | "configure">;

/** A method with choices of a schema, in which every choice that decides anything has a default. */
export function methodOf<S extends z.ZodObject>(traits: MethodTraits, schema: S, configure: Configure<S>): Method {
  return {
    ...traits,
    defaults: schema.parse({}),
    configure: (given, hub, options) => ({
      train: configure(parseChoices(traits.name, schema, given), hub, options),
    }),
  };
}

/** Choices that did not win (docs/results), and a commit that has each; with values, these alone are retired. */
const retired: Readonly<Record<string, { commit: string; values?: readonly string[] }>> = {
  aggregation: { commit: "d500bc5", values: ["concat", "probabilities"] },
  exploration: { commit: "13d1cbf" },
  heldOut: { commit: "13d1cbf" },
};

/** @throws ConfigError when the choices name a retired one */
export function refuseRetired(choices: Choices): void {
  for (const [name, { commit, values }] of Object.entries(retired)) {
    const value = choices[name];
    if (value === undefined || (values && !values.includes(String(value)))) continue;
    throw new ConfigError(`${name} ${String(value)} was retired, for it did not win: commit ${commit} has it`);
  }
}

/** @throws ConfigError when a name is not among the known ones, or names what was retired */
export function refuseUnknown(method: string, choices: Choices, known: readonly string[]): void {
  refuseRetired(choices);
  const unknown = Object.keys(choices).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const there = known.length > 0 ? `its choices are: ${known.join(", ")}` : "it has none";
  throw new ConfigError(`the method ${method} has no choice ${unknown.join(", ")}; ${there}`);
}

/** @throws ConfigError when a chosen member is not in the hub */
export function requireMembers(names: readonly (string | undefined)[], hub: HubManifest): void {
  const known = hub.members.map((entry) => entry.name);
  const unknown = names.find((name) => name !== undefined && !known.includes(name));
  if (unknown !== undefined) throw new ConfigError(`the hub has no member "${unknown}"; it has: ${known.join(", ")}`);
}
