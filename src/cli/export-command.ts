/** hub-pathway export and verify: a finished run as files that answer with nothing but an ONNX runtime. */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  type Bundle,
  differenceText,
  type Precision,
  type SelfTestResult,
  verifyBundle,
  writeBundle,
  writeSite,
  writeWeights,
} from "../export/index.ts";
import { type Pushed, type PushTarget, pushFolder, pushTarget } from "../fetch/index.ts";
import { counted, megabytes, temporaryPath } from "../io/index.ts";
import { percent } from "../report/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { isAsked, type OpenedRun, scoreText } from "../train/index.ts";
import type { Output } from "./context.ts";
import { calibratedRun, type OpenFlags, openFinished } from "./eval-command.ts";
import { stopping, withInterrupt } from "./interrupt.ts";

export interface ExportFlags extends OpenFlags {
  out?: string;
  web?: string;
  data?: string;
  maxDrop?: number;
  precision?: Precision;
  minShare?: number;
  format?: "onnx" | "safetensors";
  push?: string;
  private?: boolean;
  message?: string;
}

export async function exportRun(path: string, flags: ExportFlags, output: Output): Promise<void> {
  const { out, web, data, maxDrop, precision, minShare } = flags;
  const target = flags.push === undefined ? undefined : pushTarget(flags.push);
  if (out === undefined && web === undefined && !target) {
    throw new ConfigError("what should be written? --out FOLDER for a bundle, --web FOLDER for a page that answers");
  }
  if (flags.format === "safetensors" && isAsked(flags))
    throw new ConfigError("weights have no threshold: leave out --coverage and --max-error");
  const opened = openFinished(path, flags);
  const folder = out ?? (target && join(temporaryPath(tmpdir(), "export"), target.source.repo.split("/")[1] ?? ""));
  try {
    if (flags.format === "safetensors") return await exportWeights(opened, folder, flags, target, output);
    await withInterrupt(async (signal) => {
      const run = await calibratedRun(opened, flags, output, { signal });
      const options = { data, maxDrop, precision, minShare, signal, onNote: (text: string) => output.warn(text) };
      const site = web === undefined ? undefined : await writeSite(run, web, options);
      if (site) sayWritten(site, web ?? "", `serve ${web} from any static host, over https or from localhost`, output);
      const bundle = folder === undefined ? undefined : await writeBundle(run, folder, options);
      if (bundle)
        sayWritten(bundle, folder ?? "", `compare its answers with the run's: hub-pathway verify ${folder}`, output);
      if (bundle && target) requireMeasured(bundle, target);
      const pushed = await published(folder, flags, target, output, signal);
      const { members, k, gate, leftOut, rejection, files } = (bundle ?? site) as Bundle;
      const names = members.map(({ name }) => name);
      output.result({ out, web, members: names, k, bytes: bytesOf(files), gate, leftOut, rejection, pushed });
    }, stopping);
  } finally {
    opened.dispose();
    if (folder !== undefined && out === undefined) rmSync(dirname(folder), { recursive: true, force: true });
  }
}

async function exportWeights(
  run: OpenedRun,
  folder: string | undefined,
  flags: ExportFlags,
  target: PushTarget | undefined,
  output: Output,
): Promise<void> {
  if (folder === undefined) throw new ConfigError("weights need a folder: --out FOLDER");
  const members = await writeWeights(run, folder);
  output.say(`${folder} has the weights of ${counted(members.length, "model")} for timm's and torchvision's classes`);
  if (members.length > 1)
    output.say("which model answers for which image is no part of them: that has a bundle of ONNX");
  const pushed = await withInterrupt((signal) => published(folder, flags, target, output, signal), stopping);
  output.result({ out: flags.out, members, pushed });
}

/** @throws UserError for files that nobody compared with their run */
function requireMeasured({ gate }: Bundle, { source }: PushTarget): void {
  if (gate && !("skipped" in gate)) return;
  throw new UserError(
    `hf:${source.repo} was not published: the files' answers were not measured (${gate?.skipped ?? "no reason is noted"}); name the run's images with --data`,
  );
}

async function published(
  folder: string | undefined,
  { push, private: isPrivate, message = "Export by hub-pathway" }: ExportFlags,
  target: PushTarget | undefined,
  output: Output,
  signal: AbortSignal,
): Promise<Pushed | undefined> {
  if (folder === undefined || !target) return undefined;
  const pushed = await pushFolder(folder, target, { isPrivate, message, replaces: isOfBundle, signal });
  output.say(`published as ${push}: ${pushed.url}, commit ${pushed.commit.slice(0, 7)}`);
  return pushed;
}

/** Files that an earlier export may have left in a repository. */
const isOfBundle = (path: string): boolean =>
  /^(members\/[^/]+\.onnx|(router|bundle)\.(onnx|json)|selftest\/.*)$/.test(path);

const bytesOf = (files: Bundle["files"]): number => Object.values(files).reduce((sum, file) => sum + file.bytes, 0);

function sayWritten(bundle: Bundle, folder: string, next: string, output: Output): void {
  const { members, router, files, leftOut } = bundle;
  const parts = `${counted(members.length, "model")}${router ? " and a router" : ""}`;
  output.say(`${folder} has ${parts}, ${megabytes(bytesOf(files))}`);
  if (leftOut) output.say(`left out: ${leftOut.members.map(({ name }) => name).join(", ")}`);
  output.say(spokenGate(bundle));
  if (bundle.rejection)
    output.say(`an answer of a probability below ${bundle.rejection.threshold.toPrecision(4)} is rejected`);
  output.say(next);
}

function spokenGate({ gate, task }: Bundle): string {
  if (!gate || "skipped" in gate) return "its answers were not measured on validation images";
  if ("score" in gate) {
    return (
      `its answers come to ${scoreText(task?.kind, gate.score)} on ${counted(gate.items, "validation image")}, those of the run to ` +
      `${scoreText(task?.kind, gate.runScore)}; ${counted(gate.otherAnswers, "answer")} changed${differenceText(gate, task)}`
    );
  }
  return (
    `its answers are right on ${percent(gate.accuracy)} of ${counted(gate.items, "validation image")}, those of the run on ` +
    `${percent(gate.runAccuracy)}; ${counted(gate.otherLabels, "label")} changed`
  );
}

export async function verify(folder: string, output: Output): Promise<void> {
  const { bundle, selfTest } = await verifyBundle(folder);
  const files = Object.keys(bundle.files).length;
  output.say(`${counted(files, "file")} are those that were exported`);
  output.say(
    selfTest ? spoken(selfTest, bundle) : "the self-test was not run: npm install onnxruntime-node, and verify again",
  );
  output.result({ files, selfTest: selfTest ?? null });
}

function spoken({ images, scores, probabilities }: SelfTestResult, { task }: Bundle): string {
  const what = task?.kind === "regression" ? "of numbers, in their deviations" : "of probabilities";
  return (
    `${images} images have the run's answers: largest difference ${scores.toExponential(1)} of scores, ` +
    `${probabilities.toExponential(1)} ${what}`
  );
}
