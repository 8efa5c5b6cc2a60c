/** Options of `hub-pathway hub` and its commands. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { starterHub } from "../../hub/find-hub.ts";
import { scoreNames } from "../../ranking/score-names.ts";
import { ConfigError } from "../../torch/errors.ts";
import type { Output } from "../context.ts";
import { bytes, commaSeparated, imageSide, normalisations, trustHelp } from "../flags.ts";
import type { AddFlags } from "../hub-add-command.ts";
import type { HubFlags } from "../hub-command.ts";
import type { CreateFlags } from "../hub-create-command.ts";
import type { RankFlags } from "../rank-command.ts";
import { addSettings } from "../settings.ts";
import { rankShape } from "../train-settings.ts";

const actions = () => import("../hub-command.ts");
const changes = () => import("../hub-add-command.ts");
const making = () => import("../hub-create-command.ts");

/** The hub that a command of `hub` is about: the first argument, or --hub as everywhere else. */
interface Place {
  hub?: string | undefined;
}

const hubFlag = ["--hub <dir>", "folder of the hub, as everywhere (default: hubs/starter)"] as const;

/** @throws ConfigError when both forms name a hub */
function placeOf(dir: string | undefined, { hub }: Place): string {
  if (dir !== undefined && hub !== undefined && dir !== hub) {
    throw new ConfigError(`the hub is ${dir}, and --hub is ${hub}: leave one of them out`);
  }
  return dir ?? hub ?? starterHub;
}

export function addHubCommand(program: Command, output: () => Output): void {
  const hub = program.command("hub").description("hubs of pre-trained models");
  hub
    .command("ls [dir]")
    .description("list a hub's members, as hub.json describes them")
    .option(...hubFlag)
    .addHelpText("after", "\nExample:\n  hub-pathway hub ls\n  hub-pathway hub ls --hub my-hub")
    .action(async (dir: string | undefined, flags: Place) =>
      (await import("../hub-list.ts")).list(placeOf(dir, flags), output()),
    );
  hub
    .command("show [dir] [member]")
    .description("parameters, FLOPs, feature width, paradigm and licence of a hub's members, or all about one")
    .option(...hubFlag)
    .option("--trust", trustHelp)
    .addHelpText("after", "\nExample:\n  hub-pathway hub show hubs/starter resnet-clipart-supervised")
    .action(async (first: string | undefined, second: string | undefined, flags: HubFlags & Place) => {
      const member = flags.hub === undefined ? second : first;
      await (await actions()).show(flags.hub ?? first ?? starterHub, member, flags, output());
    });
  hub
    .command("verify [dir]")
    .description("check hashes, keys, shapes, preprocessing and a forward pass of every member")
    .option(...hubFlag)
    .option("--trust", trustHelp)
    .addHelpText("after", "\nExample:\n  hub-pathway hub verify hubs/starter")
    .action(async (dir: string | undefined, flags: HubFlags & Place) =>
      (await actions()).verify(placeOf(dir, flags), flags, output()),
    );
  addPresetCommands(hub, output);
  addMemberCommands(hub, output);
  addRankCommand(hub, output);
}

const createHelp = `
A preset lists published networks in the order of their worth; hub presets shows them. Each is fetched, checked against the hash
that its publishers state, and added as hub add does. What fails is left out; the same command goes on with what is missing.
With --budget each network of the list is taken that still fits into the bytes.

Examples:
  hub-pathway hub create my-hub --preset photos-small --budget 300MB
  hub-pathway hub create hubs/paper --preset paper --accept-licence`;

function addPresetCommands(hub: Command, output: () => Output): void {
  hub
    .command("presets [name]")
    .description("list the presets of hub create: networks, sizes and licences; of one also data, papers and addresses")
    .addHelpText("after", "\nExample:\n  hub-pathway hub presets photos-small")
    .action(async (name: string | undefined) => (await making()).presets(name, output()));
  hub
    .command("create <dir>")
    .description("make a hub of published networks, which are fetched, or go on with what it lacks")
    .requiredOption("--preset <name>", "list of networks (hub presets)")
    .option("--only <members>", "names of the only members to take, with commas between", commaSeparated)
    .option("--budget <bytes>", "bytes that may be fetched in all, such as 500MB", bytes)
    .option("--accept-licence", "take networks whose licence forbids commercial use")
    .option("--alternative", "fetch from the other address of each network that has one")
    .option("--offline", "only what was fetched before")
    .addHelpText("after", createHelp)
    .action(async (dir: string, flags: CreateFlags) => (await making()).create(dir, flags, output()));
}

const addHelp = `
SOURCE is the folder of an agent's run (rl train), a file (safetensors or an index of shards, PyTorch .pth/.pt, .onnx, a
TensorFlow.js model.json, TorchScript with --trust), hf:owner/name[@revision][/path] or an address. The network is used
only for the last two.

Examples:
  hub-pathway hub add breakout runs/breakout --hub games
  hub-pathway hub add moco checkpoints/moco_v1_200ep.pth --hub my-hub --trained-on ImageNet
  hub-pathway hub add seg deeplabv3.pth --hub my-hub
  hub-pathway hub add small net.onnx --hub my-hub --size 64 --normalize imagenet --features /pool/Flatten_output_0`;

function addMemberCommands(hub: Command, output: () => Output): void {
  hub
    .command("add <name> <source>")
    .description("take a pre-trained model into a hub, which is made with its first one")
    .requiredOption("--hub <dir>", "folder of the hub")
    .option(
      "--arch [name]",
      "architecture (resnet, vit, ...) or published network (resnet50, tf_efficientnet_b0, ...) of the weights; alone it lists them",
    )
    .option("--config <json>", "the architecture's configuration")
    .option("--prefix <text>", "only keys that begin so are the backbone's")
    .option("--layout <name>", "the package whose key names the weights have")
    .option("--under <path>", "dotted path of the state dict inside a PyTorch file that has several")
    .option("--features <tensor>", "the tensor of a graph that serves as features")
    .option("--size <pixels>", "side of the images that the model takes", imageSide)
    .addOption(
      new Option(
        "--normalize <name>",
        "how images are normalised: imagenet, half (to [-1, 1]) or unit (not at all)",
      ).choices(Object.keys(normalisations)),
    )
    .option("--mean <r,g,b>", "mean of each channel, of values up to the range", triple)
    .option("--std <r,g,b>", "deviation of each channel, of values up to the range", triple)
    .addOption(
      new Option(
        "--range <value>",
        "largest value of a pixel before the normalisation (default: told by the mean)",
      ).choices(["1", "255"]),
    )
    .addOption(new Option("--interpolation <kind>", "of resizing").choices(["bilinear", "bicubic", "nearest"]))
    .addOption(new Option("--channel-order <order>", "of the channels").choices(["rgb", "bgr"]))
    .option("--trained-on <text>", "what it was pre-trained on")
    .addOption(new Option("--data <text>", "the same, as it was called").hideHelp())
    .addOption(
      new Option("--channels <how>", "adapt: make a network for grey or many channels take colour images").choices([
        "adapt",
      ]),
    )
    .option("--paradigm <text>", "how it was pre-trained")
    .option("--licence <text>", "licence of the weights")
    .option("--agent <name>", "which agent of a run over a hub of agents (default: the one that was activated most)")
    .option("--sha256 <hash>", "what the model's main file must hash to: 64 digits, or the first ones")
    .option("--offline", "only what was fetched before")
    .option("--trust", trustHelp)
    .addHelpText("after", addHelp)
    .action(async (name: string, source: string, flags: AddFlags) =>
      (await changes()).add(name, source, flags, output()),
    );
  hub
    .command("rm <name>")
    .description("take a model out of a hub and delete its files there")
    .requiredOption("--hub <dir>", "folder of the hub")
    .addHelpText("after", "\nExample:\n  hub-pathway hub rm moco --hub my-hub")
    .action(async (name: string, flags: { hub: string }) => (await changes()).remove(name, flags.hub, output()));
}

function triple(text: string): number[] {
  const values = text.split(",").map(Number);
  if (values.length !== 3 || values.some((value) => !Number.isFinite(value)) || /^\s*$|,\s*,/.test(text)) {
    throw new InvalidArgumentError("not three numbers with commas between, such as 0.485,0.456,0.406");
  }
  return values;
}

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

function addRankCommand(hub: Command, output: () => Output): void {
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
