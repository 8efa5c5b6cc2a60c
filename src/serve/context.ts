/** What all routes share: the models, and whether somebody still waits. */
import type { Context } from "hono";
import { Problem } from "./problem.ts";
import type { Bindings } from "./send.ts";
import type { ServedModel, Surroundings } from "./served-model.ts";

export interface AppOptions {
  /** Models by name; the first one answers where none is named. It may change while requests run. */
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly around: Surroundings;
  readonly version: string;
  /** Bearer token that requests must have; none when left out. */
  readonly token?: string | undefined;
  /** True from the first signal on: no new requests are wanted. */
  readonly isDraining: () => boolean;
}

/** @throws Problem 404 for a name that no model has */
export function modelOf(models: AppOptions["models"], name?: string): ServedModel {
  const model = name === undefined ? models.values().next().value : models.get(name);
  if (model) return model;
  const known = [...models.keys()].join(", ");
  throw new Problem(404, "no-model", `there is no model "${(name ?? "").slice(0, 100)}"; there are: ${known}`, {
    field: "model",
  });
}

export function isAllReady({ models, isDraining }: Pick<AppOptions, "models" | "isDraining">): boolean {
  return !isDraining() && models.size > 0 && [...models.values()].every(({ isReady }) => isReady);
}

/** Calls a function when the client leaves before its answer. */
export type OnGone = (leave: () => void) => void;

export function onGone(c: Context<Bindings>): OnGone {
  const { outgoing } = c.env;
  return (leave) =>
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) leave();
    });
}
