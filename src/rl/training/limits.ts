/** Longer than any episode of a game that has an end (Atari: 27,000 steps). */
export const longestEpisode = 100_000;
