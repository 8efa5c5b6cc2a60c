/** Command lines that README and docs show, as text to run, and small stand-ins for the files that they name. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../../src/io/index.ts";
import { createBackbone } from "../../src/models/index.ts";
import { Generator, scope, type Tensor, zeros } from "../../src/torch/index.ts";
import { layers, saveLayers } from "../fixtures/tfjs/oracle.ts";
import { writeOnnx } from "./onnx-file.ts";
import { writeShapeImages, writeSmallHub } from "./small-hub.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** One block of a page: its commands run one after the other in one folder. */
export interface DocumentedBlock {
  page: string;
  commands: { line: number; args: string[] }[];
}

const pages = (): string[] => {
  const docs = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  return ["README.md", ...docs.map((name) => `docs/${name}`)];
};

/** The blocks of README and docs/*.md with commands of the program; text after # is a remark. */
export function documentedBlocks(): DocumentedBlock[] {
  return pages().flatMap((page) => {
    const blocks: DocumentedBlock[] = [];
    let open = false;
    for (const [i, text] of readFileSync(join(root, page), "utf8").split("\n").entries()) {
      const args = argumentsOf(text);
      if (args && open) blocks.at(-1)?.commands.push({ line: i + 1, args });
      else if (args) blocks.push({ page, commands: [{ line: i + 1, args }] });
      // A block ends with its fence, or with the first line that is not indented as code is.
      open = args !== undefined || (open && text !== "```" && /^(?! {0,3}\S)|^\S/.test(text) && text.trim() !== "");
    }
    return blocks;
  });
}

/** A command as a test runs it: shortened by further options, since the last of two counts. */
export interface Runnable {
  args: string[];
  code: number;
  /** Pattern of its output, where that matters. */
  says?: RegExp;
}

/** undefined for a command that only a network or hours of computing could answer. */
export function shortened(args: readonly string[]): Runnable | undefined {
  const [command = "", second] = args;
  const longer = (...more: string[]): Runnable => ({ args: [...args, ...more], code: 0 });
  if (command === "setup" || args.includes("--help")) return longer();
  // The installed addon has no process groups.
  if (args.includes("--nproc"))
    return { args: [...args, "--device", "cuda"], code: 2, says: /several ranks train on processors/ };
  // The starter hub of six models takes longer than a small one; README's first command shows that it works.
  if (command === "train" && args.includes("--out") && !args.includes("--hub"))
    return longer("--hub", "my-hub", "--epochs", "1", "--threads", "1");
  // It chooses the epochs itself: thirty of a few images take a second.
  if (command === "train" && args.includes("--auto")) return longer("--hub", "my-hub", "--threads", "1");
  if (command === "train") return longer("--epochs", "1", "--threads", "1");
  if (command === "rl" && second === "train") {
    return longer("--steps", "256", "--copies", "4", "--set", "rollout=16", "--threads", "1");
  }
  if (command === "rl") return longer("--episodes", "2");
  if (command === "data" && second === "fetch") return undefined;
  // The networks are fetched: a budget that none fits into ends it before.
  if (command === "hub" && second === "create")
    return { args: [...args, "--budget", "1kB"], code: 2, says: /fits into/ };
  if (command === "serve") return served(args);
  if (command !== "experiment") return longer();
  // Three small members train in seconds, the starter hub's take a minute; e2e/experiment computes every line.
  if (args.includes("--data"))
    return longer("--quick", "--seeds", "1", "--jobs", "1", "--hub", "my-hub", "--only", "equal epochs");
  if (args.includes("--status")) return longer();
  // The project's own targets are fetched, and its games take hours: what is finished is shown, which is nothing.
  if (args.includes("--worker")) return { args: [...args, "--tables"], code: 2, says: /--worker and --tables exclude/ };
  return { args: [...args, "--tables"], code: 1, says: /experiment first|finished/ };
}

/** A server would not end. What runs bundles is the user's to install, and not there. */
function served(args: readonly string[]): Runnable {
  const checked = { args: [...args, "--check", "--threads", "1"], code: 0 };
  return args.includes("bundle") ? { ...checked, code: 2, says: /npm install onnxruntime-node/ } : checked;
}

function argumentsOf(line: string): string[] | undefined {
  const [, command] = /^(?: {4})?(?:npx )?hub-pathway (.*)$/.exec(line) ?? [];
  return command
    ?.replace(/\s#\s.*$/, "")
    .trim()
    .split(/\s+/);
}

type State = ReadonlyMap<string, Tensor>;

/** A small residual network's weights under the key names of a checkpoint. */
function writeWeights(path: string, prefix: string, more: (state: State) => [string, Tensor][] = () => []): void {
  using generator = new Generator(1);
  using backbone = createBackbone("resnet", { layers: [1, 1], width: 8, stem: "small", stemStride: 2 }, { generator });
  scope(() => {
    const state = backbone.stateDict();
    const named = Array.from(state, ([key, value]) => [`${prefix}${key}`, value] as [string, Tensor]);
    writeSafetensors(path, new Map([...named, ...more(state)]));
  });
}

/** Files that the pages take for granted: a folder of images, pictures without labels, a hub, and files of models. */
export async function writeDocumentedFiles(folder: string): Promise<void> {
  renameSync(await writeShapeImages(folder, 8), join(folder, "photos"));
  const lines = readdirSync(join(folder, "photos")).flatMap((label) =>
    readdirSync(join(folder, "photos", label)).map((file) => `photos/${label}/${file},${label}|drawn\n`),
  );
  writeFileSync(join(folder, "labels.csv"), `path,labels\n${lines.join("")}`);
  mkdirSync(join(folder, "unsorted"));
  for (const name of ["some.jpg", "photo.jpg", "other.png", "unsorted/one.png"]) {
    cpSync(join(folder, "photos/circle/1.png"), join(folder, name));
  }
  renameSync(writeSmallHub(folder), join(folder, "my-hub"));
  writeWeights(join(folder, "moco_v1_200ep.pth"), "module.encoder_q.", () => [["module.queue", zeros([4, 8])]]);
  writeWeights(join(folder, "maskrcnn_resnet50_fpn.pth"), "backbone.body.");
  writeOnnx(join(folder, "net.onnx"));
  await saveLayers(folder, "nsfw", tinyLayers());
}

/** Files of the repository hf:owner/name. @param folder a place for them */
export function repositoryFiles(folder: string): Record<string, Uint8Array> {
  const path = join(folder, "model.safetensors");
  writeWeights(path, "");
  return { "model.safetensors": readFileSync(path) };
}

function tinyLayers() {
  return layers.sequential({
    layers: [
      layers.layers.conv2d({ inputShape: [24, 24, 3], filters: 8, kernelSize: 3, strides: 2, activation: "relu" }),
      layers.layers.globalAveragePooling2d({}),
      layers.layers.dense({ units: 3, activation: "softmax" }),
    ],
  });
}
