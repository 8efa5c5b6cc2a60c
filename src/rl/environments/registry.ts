/** Environments by name: games of this package, mixes of them, and `gym:ID` for any Gymnasium environment in Python. */

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
import { copiesOf, MixedGrids, mixedNames } from "./minatar/mixed-grid.ts";
import { seaquest } from "./minatar/seaquest.ts";
import { spaceInvaders } from "./minatar/space-invaders.ts";
import type { VectorEnvironment } from "./types.ts";

export { type GridId, gridIds, type LocalId, localIds };

export interface EnvironmentOptions extends Omit<LocalOptions, "stickyActions"> {
  /** For `minatar:` games. */
  minatar?: MinAtarOptions;
  /** Of a mix: the game that all copies play; they play all games when left out. */
  only?: string | undefined;
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

/** A mix of grid games by the names in its id. @throws ConfigError for names that are none, and too few copies */
function mixOf(id: string, names: readonly string[], options: EnvironmentOptions): MixedGrids {
  const { only, n = names.length, seed = 0, ...rest } = options;
  const ids = names.map((name) => {
    const own = `minatar:${name}`;
    if (isGridId(own)) return own;
    throw new ConfigError(`${id}: no game "${name}" can be in a mix; there are: ${gridIds.join(", ")}`);
  });
  if (rest.minatar?.minimalActions) throw new ConfigError(`${id}: the games of a mix have all six keys`);
  const games = ids.map((own, i) => ({ name: names[i] as string, channels: makeGridEnvironment(own).channels }));
  const played = only === undefined ? ids : ids.filter((_, i) => names[i] === only);
  if (played.length === 0) throw new ConfigError(`${id} has no game "${only}"; it has: ${names.join(", ")}`);
  let from = 0;
  const environments = copiesOf(id, played.length, n).map((copies, i) => {
    const environment = makeGridEnvironment(played[i] as GridId, { ...rest, n: copies, seed: seed + from });
    from += copies;
    return environment;
  });
  return new MixedGrids(id, games, environments);
}

/**
 * An environment by name; `minatar:A+B` is a mix of games, and `gym:ID` starts a Python process, which `close` ends.
 * @throws ConfigError for a name that is not listed, and what the bridge throws
 */
export async function makeEnvironment(id: string, options: EnvironmentOptions = {}): Promise<VectorEnvironment> {
  const mixed = mixedNames(id);
  if (mixed.length > 0) return mixOf(id, mixed, options);
  if (options.only !== undefined) throw new ConfigError(`${id} is one game: only mixes have games to choose from`);
  if (isLocalId(id)) return makeLocalEnvironment(id, options);
  if (id.startsWith("gym:")) return openGymEnvironment(id, { ...options, ...options.gym });
  throw new ConfigError(
    `no environment "${id}"; there are: ${localIds.join(", ")}, minatar:A+B+… for a mix, and gym:ID for a Gymnasium environment in Python, such as gym:ALE/Breakout-v5`,
  );
}
