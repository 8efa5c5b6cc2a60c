/** Names of the environments of this package, for the command line: this file imports nothing, so help is quick. */

export const gridIds = [
  "minatar:asterix",
  "minatar:breakout",
  "minatar:freeway",
  "minatar:seaquest",
  "minatar:space-invaders",
] as const;

export const localIds = [...gridIds, "cartpole", "acrobot", "mountain-car"] as const;

export type GridId = (typeof gridIds)[number];
export type LocalId = (typeof localIds)[number];
