/** hub-pathway export and verify: a finished run as files that answer with nothing but an ONNX runtime. */
import {
  type Bundle,
  type Precision,
  type SelfTestResult,
  verifyBundle,
  writeBundle,
  writeSite,
  writeWeights,
} from "../export/index.ts";
import { counted } from "../io/index.ts";
import { percent } from "../report/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { OpenedRun } from "../train/index.ts";
import type { Output } from "./context.ts";
import { type OpenFlags, openFinished } from "./eval-command.ts";
import { stopping, withInterrupt } from "./interrupt.ts";

export interface ExportFlags extends OpenFlags {
  out?: string;
  web?: string;
  data?: string;
  maxDrop?: number;
  precision?: Precision;
  minShare?: number;
  format?: "onnx" | "safetensors";
}

export async function exportRun(path: string, flags: ExportFlags, output: Output): Promise<void> {
  const { out, web, data, maxDrop, precision, minShare } = flags;
  if (out === undefined && web === undefined) {
    throw new ConfigError("what should be written? --out FOLDER for a bundle, --web FOLDER for a page that answers");
  }
  const run = openFinished(path, flags);
  try {
    if (flags.format === "safetensors") return await exportWeights(run, out, output);
    await withInterrupt(async (signal) => {
      const options = { data, maxDrop, precision, minShare, signal, onNote: (text: string) => output.warn(text) };
      const site = web === undefined ? undefined : await writeSite(run, web, options);
      if (site) sayWritten(site, web ?? "", `serve ${web} from any static host, over https or from localhost`, output);
      const bundle = out === undefined ? undefined : await writeBundle(run, out, options);
      if (bundle)
        sayWritten(bundle, out ?? "", `compare its answers with the run's: hub-pathway verify ${out}`, output);
      const { members, k, gate, leftOut, files } = (bundle ?? site) as Bundle;
      output.result({ out, web, members: members.map(({ name }) => name), k, bytes: bytesOf(files), gate, leftOut });
    }, stopping);
  } finally {
    run.dispose();
  }
}

async function exportWeights(run: OpenedRun, out: string | undefined, output: Output): Promise<void> {
  if (out === undefined) throw new ConfigError("weights need a folder: --out FOLDER");
  const members = await writeWeights(run, out);
  output.say(`${out} has the weights of ${counted(members.length, "model")} for timm's and torchvision's classes`);
  if (members.length > 1)
    output.say("which model answers for which image is no part of them: that has a bundle of ONNX");
  output.result({ out, members });
}

const bytesOf = (files: Bundle["files"]): number => Object.values(files).reduce((sum, file) => sum + file.bytes, 0);

function sayWritten(bundle: Bundle, folder: string, next: string, output: Output): void {
  const { members, router, files, leftOut } = bundle;
  const parts = `${counted(members.length, "model")}${router ? " and a router" : ""}`;
  output.say(`${folder} has ${parts}, ${(bytesOf(files) / 1e6).toFixed(1)} MB`);
  if (leftOut) output.say(`left out: ${leftOut.members.map(({ name }) => name).join(", ")}`);
  output.say(spokenGate(bundle));
  output.say(next);
}

function spokenGate({ gate }: Bundle): string {
  if (!gate || "skipped" in gate) return "its answers were not measured on validation images";
  return (
    `its answers are right on ${percent(gate.accuracy)} of ${counted(gate.items, "validation image")}, those of the run on ` +
    `${percent(gate.runAccuracy)}; ${counted(gate.otherLabels, "label")} changed`
  );
}

export async function verify(folder: string, output: Output): Promise<void> {
  const { bundle, selfTest } = await verifyBundle(folder);
  const files = Object.keys(bundle.files).length;
  output.say(`${counted(files, "file")} are those that were exported`);
  output.say(selfTest ? spoken(selfTest) : "the self-test was not run: npm install onnxruntime-node, and verify again");
  output.result({ files, selfTest: selfTest ?? null });
}

function spoken({ images, scores, probabilities }: SelfTestResult): string {
  return (
    `${images} images have the run's answers: largest difference ${scores.toExponential(1)} of scores, ` +
    `${probabilities.toExponential(1)} of probabilities`
  );
}
