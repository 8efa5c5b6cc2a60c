/** The options of every command that prepares data as train does: the same ones give the same split. */
import { type Command, Option } from "commander";
import { number } from "../flags.ts";

/** Adds the options to a command, --seed left out. */
export function addDataOptions(command: Command): Command {
  return command
    .requiredOption(
      "--data <dir|name|name:dir>",
      "folder with a sub-folder for each class, a known data set, or NAME:FOLDER with the files of a published one (data ls)",
    )
    .option("--image-size <pixels>", "side of the images (default: the largest that a member of the hub takes)", number)
    .option("--train-per-class <n>", "use at most so many training images of a class", number)
    .option("--validation-fraction <part>", "of each class, for choosing", number, 0.2)
    .option("--test-fraction <part>", "of each class, for the final figure", number, 0.2)
    .option("--skip-bad", "leave unreadable images out and count them")
    .addOption(
      new Option(
        "--duplicates <policy>",
        "copies of one image: group puts them on one side of a split, keep does nothing",
      )
        .choices(["group", "keep"])
        .default("group"),
    );
}
