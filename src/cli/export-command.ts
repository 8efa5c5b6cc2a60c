/** hub-pathway export and verify: a finished run as files that answer with nothing but an ONNX runtime. */
import {
  type Bundle,
  type Precision,
  type SelfTestResult,
  verifyBundle,
  writeBundle,
  writeWeights,
} from "../export/index.ts";
import { counted } from "../io/index.ts";
import { percent } from "../report/index.ts";
import type { OpenedRun } from "../train/index.ts";
import type { Output } from "./context.ts";
import { type OpenFlags, openFinished } from "./eval-command.ts";
import { stopping, withInterrupt } from "./interrupt.ts";

export interface ExportFlags extends OpenFlags {
  out: string;
  data?: string;
  maxDrop?: number;
  precision?: Precision;
  minShare?: number;
  format?: "onnx" | "safetensors";
}

export async function exportRun(path: string, flags: ExportFlags, output: Output): Promise<void> {
  const run = openFinished(path, flags);
  try {
    if (flags.format === "safetensors") return await exportWeights(run, flags.out, output);
    const { data, maxDrop, precision, minShare } = flags;
    const bundle = await withInterrupt(
      (signal) =>
        writeBundle(run, flags.out, {
          data,
          maxDrop,
          precision,
          minShare,
          signal,
          onNote: (text) => output.warn(text),
        }),
      stopping,
    );
    const bytes = Object.values(bundle.files).reduce((sum, file) => sum + file.bytes, 0);
    const members = bundle.members.map(({ name }) => name);
    output.say(
      `${flags.out} has ${counted(members.length, "model")}${bundle.router ? " and a router" : ""}, ${(bytes / 1e6).toFixed(1)} MB`,
    );
    const { leftOut } = bundle;
    if (leftOut) output.say(`left out: ${leftOut.members.map(({ name }) => name).join(", ")}`);
    output.say(spokenGate(bundle));
    output.say(`compare its answers with the run's: hub-pathway verify ${flags.out}`);
    output.result({ out: flags.out, members, k: bundle.k, bytes, gate: bundle.gate, leftOut });
  } finally {
    run.dispose();
  }
}

async function exportWeights(run: OpenedRun, out: string, output: Output): Promise<void> {
  const members = await writeWeights(run, out);
  output.say(`${out} has the weights of ${counted(members.length, "model")} for timm's and torchvision's classes`);
  if (members.length > 1)
    output.say("which model answers for which image is no part of them: that has a bundle of ONNX");
  output.result({ out, members });
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
