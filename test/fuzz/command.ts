/** The fuzzer's command line. */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ConfigError } from "../../src/torch/errors.ts";
import { type Finding, fuzz, replay } from "./run.ts";

const names = ["safetensors", "torch", "onnx", "tfjs", "manifest", "run", "state", "cache", "parquet", "tar"];

const help = `Usage: npm run fuzz -- [--format NAME ...] [--minutes N] [--seed N] [--findings DIR] [--case N | --file PATH]

  --format    ${names.join(", ")}; may be repeated; all of them, one after the other, when left out
  --minutes   for each format (default 1)
  --seed      the same seed makes the same files (default 1)
  --findings  folder for the files that reproduce what was found (default: ${join(tmpdir(), "hub-pathway-findings")})
  --case      instead: the one case of this number, of the same --format and --seed
  --file      instead: what the reader of --format does with this one file

Exits with 1 when something was found.`;

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        format: { type: "string", multiple: true, default: [] },
        minutes: { type: "string", default: "1" },
        seed: { type: "string", default: "1" },
        findings: { type: "string", default: join(tmpdir(), "hub-pathway-findings") },
        case: { type: "string" },
        file: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new ConfigError(`${(error as Error).message} (--help lists the options)`);
  }
}

type Options = ReturnType<typeof parse>;

function positive(text: string, option: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new ConfigError(`--${option} must be a positive number, not "${text}"`);
}

function whole(text: string, option: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ConfigError(`--${option} must be a whole number, not "${text}"`);
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

/** The format that --case or --file is for. */
function onlyFormat({ format }: Options, option: string): string {
  const [name, ...more] = format;
  if (name !== undefined && more.length === 0) return name;
  throw new ConfigError(`--${option} needs the one --format that reads it`);
}

async function replayFile(format: string, path: string): Promise<number> {
  if (!existsSync(path)) throw new ConfigError(`--file ${path}: there is no such file`);
  const verdict = await replay(format, path);
  console.log(verdict ? `${verdict.kind}: ${verdict.what}` : "read or refused properly");
  return verdict ? 1 : 0;
}

/** Runs each format for a time, or its one case of a number. */
async function fuzzFormats(formats: readonly string[], options: Options, number?: number): Promise<number> {
  const limits =
    number === undefined
      ? { milliseconds: positive(options.minutes, "minutes") * 60_000, cases: Number.POSITIVE_INFINITY }
      : { milliseconds: Number.POSITIVE_INFINITY, first: number, cases: 1 };
  const seed = positive(options.seed, "seed");
  let found = 0;
  for (const format of formats) {
    const summary = await fuzz({ format, seed, findings: options.findings, ...limits });
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

/** Runs a command line and gives its exit code. @throws ConfigError */
export async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options.help) {
    console.log(help);
    return 0;
  }
  const unknown = options.format.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new ConfigError(`--format must be one of ${names.join(", ")}, not "${unknown}"`);
  if (options.case !== undefined && options.file !== undefined) {
    throw new ConfigError("--case and --file each name all that is run: give one of them");
  }
  if (options.file !== undefined) return replayFile(onlyFormat(options, "file"), options.file);
  if (options.case !== undefined) {
    return fuzzFormats([onlyFormat(options, "case")], options, whole(options.case, "case"));
  }
  return fuzzFormats(options.format.length === 0 ? names : [...new Set(options.format)], options);
}
