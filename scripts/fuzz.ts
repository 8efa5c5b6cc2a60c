/**
 * Feeds changed files to the readers: `npm run fuzz -- --format onnx --minutes 5`. Everything but success and a proper
 * refusal (UserError) is a finding: other exceptions, crashes, hangs, memory, tensors and files that are left behind.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Finding, fuzz, replay } from "./fuzz/run.ts";

const names = ["safetensors", "torch", "onnx", "tfjs", "manifest"];

const help = `Usage: npm run fuzz -- [--format NAME] [--minutes N] [--seed N] [--findings DIR] [--file PATH]

  --format    ${names.join(", ")}; all of them, one after the other, when left out
  --minutes   for each format (default 1)
  --seed      the same seed makes the same files (default 1)
  --findings  folder for the files that reproduce what was found (default: ${join(tmpdir(), "hub-pathway-findings")})
  --file      instead: what the reader of --format does with this one file

Exits with 1 when something was found.`;

const { values } = parseArgs({
  options: {
    format: { type: "string" },
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    findings: { type: "string", default: join(tmpdir(), "hub-pathway-findings") },
    file: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

function positive(text: string, option: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new RangeError(`--${option} must be a positive number, not "${text}"`);
}

function describe({ kind, what, times, folder }: Finding): string {
  const lines = what
    .trim()
    .split("\n")
    .slice(0, 6)
    .map((line) => line.slice(0, 300))
    .join("\n      ");
  return `  ${kind} (${times} time${times === 1 ? "" : "s"}): ${lines}\n    ${folder}`;
}

async function replayFile(path: string): Promise<number> {
  if (values.format === undefined) throw new RangeError("--file needs the --format that reads it");
  const verdict = await replay(values.format, path);
  console.log(verdict ? `${verdict.kind}: ${verdict.what}` : "read or refused properly");
  return verdict ? 1 : 0;
}

async function fuzzFormats(formats: readonly string[]): Promise<number> {
  const milliseconds = positive(values.minutes, "minutes") * 60_000;
  const seed = positive(values.seed, "seed");
  let found = 0;
  for (const format of formats) {
    const summary = await fuzz({
      format,
      seed,
      milliseconds,
      cases: Number.POSITIVE_INFINITY,
      findings: values.findings,
    });
    const { executions, accepted, seconds, findings } = summary;
    const rate = (executions / seconds).toFixed(0);
    console.log(
      `${format}: ${executions} executions in ${seconds.toFixed(0)} s (${rate}/s), ${accepted} accepted, ` +
        `${findings.length} findings`,
    );
    for (const finding of findings) console.log(describe(finding));
    found += findings.length;
  }
  return found > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (values.format !== undefined && !names.includes(values.format)) {
    throw new RangeError(`--format must be one of ${names.join(", ")}`);
  }
  if (values.file !== undefined) return replayFile(values.file);
  return fuzzFormats(values.format === undefined ? names : [values.format]);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
