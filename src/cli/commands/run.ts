/** Options of `hub-pathway eval`, `predict`, `report`, `export` and `verify`. */
import { type Command, Option } from "commander";
import { inferenceModes } from "../../methods/catalog.ts";
import type { Output } from "../context.ts";
import type { EvalFlags } from "../eval-command.ts";
import type { ExportFlags } from "../export-command.ts";
import {
  addRejection,
  bytes,
  commaSeparated,
  count,
  deviceHelp,
  factor,
  hubMemoryHelp,
  positive,
  probability,
  rankTimeoutHelp,
  threads,
  trustHelp,
} from "../flags.ts";
import type { PredictFlags } from "../predict-command.ts";
import type { RankFlags } from "../ranks.ts";

export function addRunCommands(program: Command, output: () => Output): void {
  answering(measuring(program.command("eval <run>")))
    .description("measure a finished run; reading the test split is noted in the run's ledger")
    .option("--nproc <n>", "processes on this machine that share the images", count)
    .option("--rank-timeout <seconds>", rankTimeoutHelp, count)
    .option("--ten-crop", "mean over ten crops of each image, taken from images 256/224 times as large as the run's")
    .addHelpText(
      "after",
      `\n${modesHelp}\n\n` +
        "Examples:\n  hub-pathway eval runs/photos --split test --json\n  hub-pathway eval runs/photos --mode cascade --flops 50e6",
    )
    .action(async (path: string, flags: EvalFlags & RankFlags) => {
      const { evalRun } = await import("../eval-command.ts");
      await evalRun(path, flags, output());
    });
  answering(opening(program.command("predict <run> <images...>")))
    .description("label images with a finished run, and say which models were activated")
    .option("--top <n>", "classes for each image, the most probable first", count, 1)
    .option("--csv <file>", "write the predictions into a table too")
    .option("--data <dir|name>", "where the run's validation images are now, for a mode")
    .addHelpText(
      "after",
      "\nIMAGES are files, folders, patterns such as 'photos/*.jpg', or - for standard input: an image, or paths line by line.\n\n" +
        `${modesHelp}\n\n` +
        "Examples:\n  hub-pathway predict runs/photos cat.jpg dog.png --top 3\n" +
        "  hub-pathway predict runs/photos ./unsorted --csv labels.csv --coverage 0.9",
    )
    .action(async (path: string, images: string[], flags: PredictFlags) => {
      const { predict } = await import("../predict-command.ts");
      await predict(path, images, flags, output());
    });
  measuring(program.command("report <run>"))
    .description("write a finished run's report (HTML): which models serve what, and what each is worth")
    .addHelpText("after", "\nExample:\n  hub-pathway report runs/photos")
    .action(async (path: string, flags: EvalFlags) => {
      const { report } = await import("../report-command.ts");
      await report(path, flags, output());
    });
  choosing(program.command("export <run>"))
    .description("write a finished run as ONNX files that answer without this program, or as a page")
    .option("--out <dir>", "folder of the bundle; it must not exist")
    .option("--web <dir>", "folder of a static site that answers in browsers; it must not exist")
    .option("--data <dir|name>", "where the run's images are now: the files are measured on those of validation")
    .addOption(
      new Option(
        "--format <name>",
        "onnx: files that answer; safetensors: weights for timm's and torchvision's classes",
      )
        .choices(["onnx", "safetensors"])
        .default("onnx"),
    )
    .addOption(
      new Option(
        "--precision <name>",
        "float16 halves the files, int8 computes with whole numbers (128 training images)",
      )
        .choices(["float32", "float16", "int8"])
        .default("float32"),
    )
    .option("--min-share <p>", "leave models out that less than this share of validation images activate", probability)
    .option("--max-drop <points>", "accuracy that the files may lose against the run", factor, 0.5)
    .option(
      "--push <hf:owner/name>",
      "publish it on the Hugging Face Hub too, as one commit (HF_TOKEN; @branch after the name)",
    )
    .option("--private", "a repository that --push makes is seen by its owner alone")
    .option("--message <text>", "title of the commit of --push")
    .option("--trust", trustHelp)
    .addHelpText(
      "after",
      "\nExamples:\n  hub-pathway export runs/photos --out bundle\n  hub-pathway export runs/photos --push hf:me/photos --private",
    )
    .action(async (path: string, flags: Omit<ExportFlags, "device">) => {
      const { exportRun } = await import("../export-command.ts");
      await exportRun(path, { ...flags, device: "cpu" }, output());
    });
  program
    .command("verify <bundle>")
    .description("check the files of an exported run, and its answers where onnxruntime-node is installed")
    .addHelpText("after", "\nExample:\n  hub-pathway verify bundle")
    .action(async (folder: string) => {
      const { verify } = await import("../export-command.ts");
      await verify(folder, output());
    });
}

const modesHelp =
  "Modes ask members one after the other until one is sure (cascade) or some agree (agreement), choose them by what they know\n" +
  "of similar validation images (knora, meta-des), or weigh what all say (stacking).";

function answering(command: Command): Command {
  return command.addOption(
    new Option(
      "--mode <name>",
      "answer by other rules than the run's routes, with settings chosen on validation images; --flops bounds what they cost",
    )
      .choices([...inferenceModes])
      .default("routes"),
  );
}

function measuring(command: Command): Command {
  return opening(
    command
      .addOption(
        new Option("--split <name>", "images of the run to measure")
          .choices(["train", "validation", "test"])
          .default("validation"),
      )
      .option("--data <dir|name>", "where the images are now, or other images with the same classes"),
  );
}

function opening(command: Command): Command {
  return choosing(command)
    .option("--hub-memory <amount>", hubMemoryHelp, bytes)
    .option("--threads <n>", "threads inside one operator", threads)
    .option("--trust", trustHelp)
    .option("--device <name>", deviceHelp, "cpu");
}

function choosing(command: Command): Command {
  return addRejection(command)
    .option("--k <n>", "activated models, when another cost than trained for is wanted", count)
    .option(
      "--confidence <p>",
      "ask models one after the other until the answer is this sure, 0 to 1; k of them at most (default: all)",
      probability,
    )
    .option("--flops <n>", "FLOPs that an image may cost, on average: the best choice of models within them", positive)
    .option("--ms <n>", "the same in milliseconds, which are measured on this machine first", positive)
    .option("--models <names>", "the same models for every image, by name, with commas between", commaSeparated);
}
