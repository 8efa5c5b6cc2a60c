/** Splits that users name themselves, in folders or in columns. */
import { quoted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { Item } from "./types.ts";

export type Split = NonNullable<Item["split"]>;

const splitNames: Readonly<Record<string, Split>> = {
  train: "train",
  training: "train",
  val: "validation",
  valid: "validation",
  validation: "validation",
  dev: "validation",
  eval: "validation",
  test: "test",
  testing: "test",
};

/** The split that a name means, in any case; "dev" and "eval" are usual for validation. */
export const splitNamed = (name: string): Split | undefined => splitNames[name.toLowerCase()];

/** @throws UserError for a name that means none */
export function requireSplit(where: string, name: string): Split {
  const split = splitNamed(name);
  if (split !== undefined) return split;
  throw new UserError(`${where}: ${quoted(name)} is no split: write train, validation or test`);
}

/** @throws UserError naming a class that only other splits than train have, where there are splits */
export function refuseUntrained(origin: string, classes: readonly string[], items: readonly Item[]): void {
  if (!items.some(({ split }) => split !== undefined)) return;
  const trained = new Set(items.filter(({ split }) => split === "train").map(({ label }) => label));
  const missing = classes.find((_, label) => !trained.has(label));
  if (missing === undefined) return;
  throw new UserError(
    `${origin}: the class ${quoted(missing)} has no image in train, only in other splits: add some, or remove the class`,
  );
}
