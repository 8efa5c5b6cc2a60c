/** Options of `hub-pathway hub add` and `hub rm`. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Output } from "../context.ts";
import { imageSide, normalisations, trustHelp } from "../flags.ts";
import type { AddFlags } from "../hub-add-command.ts";

const actions = () => import("../hub-add-command.ts");

const addHelp = `
SOURCE is the folder of an agent's run (rl train), a file (safetensors or an index of shards, PyTorch .pth/.pt, .onnx, a
TensorFlow.js model.json, TorchScript with --trust), hf:owner/name[@revision][/path] or an address. The network is used
only for the last two.

Examples:
  hub-pathway hub add breakout runs/breakout --hub games
  hub-pathway hub add moco checkpoints/moco_v1_200ep.pth --hub my-hub --trained-on ImageNet
  hub-pathway hub add seg deeplabv3.pth --hub my-hub
  hub-pathway hub add small net.onnx --hub my-hub --size 64 --normalize imagenet --features /pool/Flatten_output_0`;

export function addMemberCommands(hub: Command, output: () => Output): void {
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
    .option("--sha256 <hash>", "what the model's main file must hash to")
    .option("--offline", "only what was fetched before")
    .option("--trust", trustHelp)
    .addHelpText("after", addHelp)
    .action(async (name: string, source: string, flags: AddFlags) =>
      (await actions()).add(name, source, flags, output()),
    );
  hub
    .command("rm <name>")
    .description("take a model out of a hub and delete its files there")
    .requiredOption("--hub <dir>", "folder of the hub")
    .addHelpText("after", "\nExample:\n  hub-pathway hub rm moco --hub my-hub")
    .action(async (name: string, flags: { hub: string }) => (await actions()).remove(name, flags.hub, output()));
}

function triple(text: string): number[] {
  const values = text.split(",").map(Number);
  if (values.length !== 3 || values.some((value) => !Number.isFinite(value)) || /^\s*$|,\s*,/.test(text)) {
    throw new InvalidArgumentError("not three numbers with commas between, such as 0.485,0.456,0.406");
  }
  return values;
}
