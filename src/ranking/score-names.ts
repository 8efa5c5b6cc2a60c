/** Names of the ranking scores, for the command line: this file imports nothing, so help is quick. */
export const scoreNames = ["logme", "leep", "nce", "h-score", "n-leep"] as const;

export type ScoreName = (typeof scoreNames)[number];
