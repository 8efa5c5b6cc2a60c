/** Runs cases in a child process under a watchdog, and keeps what it finds. */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { typescript } from "../support/typescript.ts";
import { caseOf, writeCase } from "./cases.ts";
import type { Format } from "./format.ts";
import type { Verdict } from "./judge.ts";
import { progressName, type Report } from "./progress.ts";

export interface FuzzOptions {
  format: string;
  seed: number;
  /** Number of the first case; 0 when left out. */
  first?: number;
  /** Ends after this time, or after this many cases. */
  milliseconds: number;
  cases: number;
  /** Folder that gets a folder for each finding. */
  findings: string;
  /** Module that exports `formats`. */
  formats?: URL;
  /** Milliseconds for one case. */
  patience?: number;
}

export interface Finding extends Verdict {
  case: number;
  /** Folder of the files that reproduce it. */
  folder: string;
  /** Number of cases with the same ending. */
  times: number;
}

export interface Summary {
  executions: number;
  /** Files that were sound, or sound enough, after their changes. */
  accepted: number;
  seconds: number;
  findings: Finding[];
}

const tick = 100;
/** Loading the addon and making the sound files. */
const startPatience = 120_000;
const maximumMemory = 3 * 2 ** 30;
/** A fresh process every so often, so that one case's damage does not explain all the later ones. */
const casesPerProcess = 5000;
const pageSize = 4096;

interface Ended {
  /** The case it was at in the end; undefined when it came to its own end. */
  at: number | undefined;
  /** Why that case ended the process. */
  fatal: Verdict | undefined;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

function start(args: readonly string[]): ChildProcess {
  return fork(here("./worker.ts"), args, {
    execArgv: [...typescript, "--max-old-space-size=1500"],
    env: { ...process.env, OMP_NUM_THREADS: "1" },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

/** Resident bytes of a process; 0 where the system does not tell. */
function residentOf(child: ChildProcess): number {
  try {
    return Number(readFileSync(`/proc/${child.pid}/statm`, "latin1").split(" ")[1]) * pageSize;
  } catch {
    return 0;
  }
}

/** Milliseconds of processor that a child has had; on a busy machine they are fewer than those of the clock. */
function cpuOf(child: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${child.pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) * tickOfClock;
  } catch {
    return 0;
  }
}

/** Milliseconds of a unit in /proc, on every Linux. */
const tickOfClock = 10;
/** A child that waits for nothing uses no processor: for it the clock counts, so many times as long. */
const idle = 10;

/** The case that the child is at, and how many it accepted; undefined before the first. */
function progressIn(folder: string): { at: number; accepted: number } | undefined {
  const file = join(folder, progressName);
  const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  return bytes.length === 16 ? { at: bytes.readDoubleLE(), accepted: bytes.readDoubleLE(8) } : undefined;
}

/** A temporary folder that goes with its block, and with a process that is told to end. */
function workFolder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), "hub-pathway-fuzz-"));
  const remove = () => rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  process.once("exit", remove);
  return {
    path,
    [Symbol.dispose]() {
      process.off("exit", remove);
      remove();
    },
  };
}

/** Runs one child to its end, or to the end of patience, memory or time. */
async function watch(
  child: ChildProcess,
  folder: string,
  limits: { patience: number; until: number },
  report: (number: number, verdict: Verdict) => void,
): Promise<Ended> {
  let done = false;
  let errors = "";
  let killedFor: Verdict | undefined;
  let timeIsUp = false;
  let seen = { at: undefined as number | undefined, since: performance.now(), cpu: 0 };
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  child.on("message", (message) => {
    const said = message as Report;
    if ("done" in said) done = true;
    else report(said.case, said.verdict);
  });
  // A child in a hang would outlive its parent; first, so that it does not write into a folder that goes.
  const kill = () => child.kill("SIGKILL");
  process.prependOnceListener("exit", kill);
  const timer = setInterval(() => {
    const now = performance.now();
    const at = progressIn(folder)?.at;
    const cpu = cpuOf(child);
    if (at !== seen.at) seen = { at, since: now, cpu };
    const patience = at === undefined ? startPatience : limits.patience;
    if (cpu - seen.cpu > patience || now - seen.since > idle * patience)
      killedFor ??= { kind: "hang", what: `it took over ${patience} ms of processor, or ${idle} times as long` };
    if (residentOf(child) > maximumMemory)
      killedFor ??= { kind: "memory", what: `it took over ${maximumMemory} bytes` };
    timeIsUp = at !== undefined && now > limits.until;
    if (killedFor || timeIsUp) kill();
  }, tick);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on("close", (code, signal) => resolve([code, signal]));
  });
  clearInterval(timer);
  process.off("exit", kill);
  if (done) return { at: undefined, fatal: undefined };
  const at = progressIn(folder)?.at;
  const ending = `the process ended with ${signal ?? `exit code ${code}`}: ${errors}`;
  if (at === undefined) throw new Error(`no case was run: ${ending}`);
  if (!killedFor && timeIsUp) return { at, fatal: undefined };
  return { at, fatal: killedFor ?? { kind: "crash", what: ending } };
}

/** Signature of a finding: the kind, with the first own frame or the first words without names and numbers. */
function signatureOf({ kind, what }: Verdict): string {
  const frame = /\n\s+at .*?\(?([^\s(]*\/src\/[^\s)]*)/.exec(what)?.[1];
  const words = what.replaceAll(/"(?:[^"\\]|\\.)*"|\S*\/\S*|\d+/g, "#").slice(0, 50);
  return `${kind} ${frame ?? words}`;
}

/** Runs mutated files of one format through its reader. */
export async function fuzz(options: FuzzOptions): Promise<Summary> {
  const { format, seed, first = 0, patience = 10_000, formats = new URL("./formats.ts", import.meta.url) } = options;
  const end = first + options.cases;
  const started = performance.now();
  const until = started + options.milliseconds;
  using work = workFolder();
  const folder = work.path;
  const found = new Map<string, Finding>();
  const keep = (number: number, verdict: Verdict): void => {
    const signature = signatureOf(verdict);
    const known = found.get(signature);
    if (known) known.times += 1;
    else
      found.set(signature, {
        ...verdict,
        case: number,
        folder: join(options.findings, `${format}-${seed}-${number}`),
        times: 1,
      });
  };
  let next = first;
  let accepted = 0;
  let saved = 0;
  while (next < end && performance.now() < until) {
    rmSync(join(folder, progressName), { force: true });
    const last = Math.min(end, next + casesPerProcess);
    const child = start([formats.href, format, String(seed), String(next), String(last), folder]);
    const { at = last, fatal } = await watch(child, folder, { patience, until }, keep);
    if (fatal) keep(at, fatal);
    accepted += progressIn(folder)?.accepted ?? 0;
    next = fatal ? at + 1 : at;
    // Whoever stops a long run keeps what it found so far.
    await save([...found.values()].slice(saved), options, formats);
    saved = found.size;
  }
  const findings = [...found.values()];
  // Once more, for the number of times.
  await save(findings, options, formats);
  return { executions: next - first, accepted, seconds: (performance.now() - started) / 1000, findings };
}

/** Makes the files of every finding again, beside what it was. */
async function save(findings: readonly Finding[], { format: name, seed }: FuzzOptions, module: URL): Promise<void> {
  if (findings.length === 0) return;
  const { formats } = (await import(module.href)) as { formats: readonly Format[] };
  const format = formats.find((known) => known.name === name);
  const seeds = await format?.seeds();
  if (!format || !seeds) return;
  for (const finding of findings) {
    writeCase(finding.folder, caseOf(format, seeds, seed, finding.case));
    writeFileSync(
      join(finding.folder, "finding.json"),
      `${JSON.stringify({ format: name, seed, ...finding }, null, 2)}\n`,
    );
  }
}

/** Verdict on a reader that misbehaves with one file, such as a finding's; undefined when it behaves. */
export async function replay(
  format: string,
  path: string,
  formats = new URL("./formats.ts", import.meta.url),
): Promise<Verdict | undefined> {
  using work = workFolder();
  const folder = work.path;
  let verdict: Verdict | undefined;
  const child = start([formats.href, format, path]);
  writeFileSync(join(folder, progressName), Buffer.alloc(16));
  const ended = await watch(child, folder, { patience: 60_000, until: Number.POSITIVE_INFINITY }, (_, said) => {
    verdict = said;
  });
  return ended.fatal ?? verdict;
}
