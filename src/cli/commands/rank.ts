/** Options of `hub-pathway hub rank`. */
import { type Command, Option } from "commander";
import { scoreNames } from "../../ranking/score-names.ts";
import type { Output } from "../context.ts";
import type { RankFlags } from "../rank-command.ts";
import { addSettings } from "../settings.ts";
import { rankShape } from "../train-settings.ts";
import { hubFlag, placeOf } from "./place.ts";

const scoreHelp = `
Scores (larger is better; none trains anything):
  logme    log evidence of the classes given the features
  leep     expected log likelihood of the classes given the member's own predictions
  nce      minus the entropy of the classes given the member's predicted class
  h-score  part of the features' variance that lies between the classes, with a shrunk covariance
  n-leep   leep with clusters of the features in place of the member's classes
leep and nce need the classifier of pre-training, which hub.json names.

Example:
  hub-pathway hub rank --data ./photos --score logme n-leep`;

export function addRankCommand(hub: Command, output: () => Output): void {
  const command = hub
    .command("rank [dir]")
    .description("rank a hub's members for labelled images, without training")
    .optionsGroup("Models:")
    .option(...hubFlag)
    .addOption(
      new Option(
        "--score <names...>",
        "scores to compute; the first one decides the order (default: all, by logme)",
      ).choices(scoreNames),
    );
  addSettings(command, rankShape)
    .addHelpText("after", scoreHelp)
    .action(async (dir: string | undefined, { hub, ...flags }: RankFlags & { hub?: string }) => {
      const { rank } = await import("../rank-command.ts");
      await rank(placeOf(dir, { hub }), flags, output());
    });
}
