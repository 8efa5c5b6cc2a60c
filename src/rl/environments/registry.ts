/** Environments by name: games of this package, and `gym:ID` for any Gymnasium environment in Python. */

import { ConfigError } from "../../torch/index.ts";
import { type GymOptions, openGymEnvironment } from "../bridge/index.ts";
import { acrobot } from "./classic/acrobot.ts";
import { cartPole } from "./classic/cartpole.ts";
import { mountainCar } from "./classic/mountain-car.ts";
import { type GridId, gridIds, type LocalId, localIds } from "./ids.ts";
import { LocalEnvironment, type LocalOptions } from "./local-environment.ts";
import { asterix } from "./minatar/asterix.ts";
import { breakout } from "./minatar/breakout.ts";
import { freeway } from "./minatar/freeway.ts";
import { GridEnvironment, type MinAtarOptions } from "./minatar/grid.ts";
import { seaquest } from "./minatar/seaquest.ts";
import { spaceInvaders } from "./minatar/space-invaders.ts";
import type { VectorEnvironment } from "./types.ts";

export { type GridId, gridIds, type LocalId, localIds };

export interface EnvironmentOptions extends Omit<LocalOptions, "stickyActions"> {
  /** For `minatar:` games. */
  minatar?: MinAtarOptions;
  /** For `gym:` environments. */
  gym?: GymOptions;
}

const grids = {
  "minatar:asterix": (options: EnvironmentOptions) => new GridEnvironment(asterix, options, options.minatar),
  "minatar:breakout": (options: EnvironmentOptions) => new GridEnvironment(breakout, options, options.minatar),
  "minatar:freeway": (options: EnvironmentOptions) => new GridEnvironment(freeway, options, options.minatar),
  "minatar:seaquest": (options: EnvironmentOptions) => new GridEnvironment(seaquest, options, options.minatar),
  "minatar:space-invaders": (options: EnvironmentOptions) =>
    new GridEnvironment(spaceInvaders, options, options.minatar),
} satisfies Record<GridId, unknown>;

const classic = {
  cartpole: (options: EnvironmentOptions) => new LocalEnvironment(cartPole, options),
  acrobot: (options: EnvironmentOptions) => new LocalEnvironment(acrobot, options),
  "mountain-car": (options: EnvironmentOptions) => new LocalEnvironment(mountainCar, options),
} satisfies Record<Exclude<LocalId, GridId>, unknown>;

const local = { ...grids, ...classic };

export function isGridId(id: string): id is GridId {
  return Object.hasOwn(grids, id);
}

export function isLocalId(id: string): id is LocalId {
  return Object.hasOwn(local, id);
}

export function makeGridEnvironment(id: GridId, options: EnvironmentOptions = {}): GridEnvironment {
  return grids[id](options);
}

/** An environment of this process, whose steps answer at once. */
export function makeLocalEnvironment(id: LocalId, options: EnvironmentOptions = {}): LocalEnvironment {
  return local[id](options);
}

/**
 * An environment by name; `gym:ID` starts a Python process, which `close` ends.
 * @throws ConfigError for a name that is not listed, and what the bridge throws
 */
export async function makeEnvironment(id: string, options: EnvironmentOptions = {}): Promise<VectorEnvironment> {
  if (isLocalId(id)) return makeLocalEnvironment(id, options);
  if (id.startsWith("gym:")) return openGymEnvironment(id, { ...options, ...options.gym });
  throw new ConfigError(
    `no environment "${id}"; there are: ${localIds.join(", ")}, and gym:ID for a Gymnasium environment in Python, such as gym:ALE/Breakout-v5`,
  );
}
