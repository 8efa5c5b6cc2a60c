/** Several ranks that train or measure one run: starting them on this machine, and the folder and the voice of all but the first. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { agreeOn, agreeToStart, type Contract, initProcessGroup, untilServed } from "../distributed/index.ts";
import { reasonOf, removedAtEnd, sweepTemporaries, temporaryPath } from "../io/index.ts";
import {
  CollectiveError,
  ConfigError,
  Interrupted,
  type ProcessGroup,
  type ProcessGroupOptions,
  startSeconds,
  UserError,
} from "../torch/index.ts";
import { imageRun, placeOf, RunFolder } from "../train/index.ts";
import { forwardSignals, startAgain } from "./children.ts";
import { aloud, answer, Output } from "./context.ts";
import { interruptedCode, signals, stopping, withInterrupt } from "./interrupt.ts";
import { terminal } from "./terminal.ts";
import { ownVersion } from "./version.ts";

/** Of a rank for which the first one speaks. */
class Silent extends Output {
  constructor(json: boolean) {
    super(json);
    answer.isDone = true;
  }

  override say(): void {}
  override note(): void {}
  override warn(): void {}
}

/** Options of commands whose work ranks may share. */
export interface RankFlags {
  nproc?: number;
  rankTimeout?: number;
}

/** How a command was started. */
type RankStart<T> = { [Name in keyof RankFlags]: RankFlags[Name] | undefined } & {
  contract: Contract | undefined;
  /** What each process makes of its command line. */
  ready: () => T;
  /** What more to say where a signal ended a rank. */
  remark?: (given: T) => string | undefined;
};

/** Starts ranks of this very command here, or does the work alone or as one of the ranks that a launcher started. */
export async function onRanks<T>(
  { contract, nproc = 1, rankTimeout, ready, remark }: RankStart<T>,
  output: Output,
  work: (given: T, output: Output, group?: ProcessGroup) => Promise<void>,
): Promise<void> {
  if (contract) {
    if (nproc === 1) return asRank(contract, rankTimeout, ready, output, work);
    throw new ConfigError(`--nproc starts ranks, and ${contract.launcher} did already: leave --nproc out`);
  }
  const given = ready();
  if (nproc === 1) return work(given, output);
  const { code, ended } = await startRanks(nproc, output.json);
  if (ended) output.warn([ended, remark?.(given)].filter((part) => part !== undefined).join("; "));
  if (code !== 0) output.result({ error: ended ?? "a rank failed, and standard error says why", exitCode: code });
  process.exitCode = code;
}

/** Seconds that the others have to come where this rank has only a fault to tell. */
const faultTimeout = 60;

/** Variable of the ranks that --nproc started: how many they are. */
const ownRanks = "HUB_PATHWAY_NPROC";

/** Number of ranks that --nproc started, of which this process is one; 1 when it is none of such. */
export const startedRanks = (): number => Number(process.env[ownRanks] ?? 1);

/** A rank that cannot start joins the others all the same, so that they do not wait for it. */
async function asRank<T>(
  contract: Contract,
  timeout: number | undefined,
  ready: () => T,
  output: Output,
  work: (given: T, output: Output, group: ProcessGroup) => Promise<void>,
): Promise<void> {
  const own = contract.rank === 0 ? output : new Silent(output.json);
  const given = attempted(ready);
  const fault = "fault" in given ? given.fault : undefined;
  const opened = openGroup(contract, own, { timeout, ...(fault && { startTimeout: faultTimeout }) });
  using group = await opened.catch((error: unknown) => Promise.reject(fault ?? error));
  await withRankNamed(group, () => {
    agreeOn(group, "versions", { "the version of hub-pathway": ownVersion() });
    agreeToStart(group, fault);
    return work((given as { value: T }).value, own, group);
  });
}

function attempted<T>(fn: () => T): { value: T } | { fault: Error } {
  try {
    return { value: fn() };
  } catch (error) {
    return { fault: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** The group of all ranks. A signal may end a rank that waits for the others, and --json has its line then too. */
async function openGroup(
  contract: Contract,
  output: Output,
  times: Pick<ProcessGroupOptions, "timeout" | "startTimeout">,
): Promise<ProcessGroup> {
  const line = (error: string) => JSON.stringify({ error, exitCode: interruptedCode });
  const say = (why: string) => terminal.line(`rank ${contract.rank}: ${why}`);
  return withInterrupt(
    async (signal) => {
      await untilServed(contract, startSeconds(times), say, signal);
      const group = initProcessGroup(contract, { ...times, ...(!answer.isDone && { answer: line }) });
      // A signal that came meanwhile is heard by the second turn of the loop.
      for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
      if (!signal.aborted) return group;
      group[Symbol.dispose]();
      throw new Interrupted("start of ranks");
    },
    stopping,
    aloud(output),
  );
}

/** What goes wrong on a rank is said by it; the first rank says it as a process alone would, and of a signal to all it speaks alone. */
async function withRankNamed(group: ProcessGroup, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isOther = !(error instanceof UserError) || error instanceof CollectiveError;
    const isInterrupted = error instanceof Interrupted;
    if (group.rank === 0 || (isOther && !isInterrupted)) throw error;
    if (!isInterrupted) terminal.line(`rank ${group.rank}: ${error.message}`);
    process.exitCode = isInterrupted ? interruptedCode : error.exitCode;
  }
}

/** What a rank trains in. */
export interface RankPlace {
  /** Folder of its run. */
  out: string;
  /** The run is there already, and goes on. */
  resumes: boolean;
  /** The first rank's folder, where all write what they train. */
  shardsAt?: string | undefined;
  /** Places of images and hub, as they are seen from here, of a run that goes on. */
  data?: string;
  hub?: string;
}

/**
 * Gives each rank a folder: the first one has the run's, and the others have copies elsewhere which end with them.
 * @param out the run's folder
 * @param resumes the run is to go on
 * @param shardMembers they have the models among them
 * @param isRestarted a launcher started the processes anew, or does not say it: they go on with what they had begun
 */
export async function inRankFolder<T>(
  group: ProcessGroup,
  {
    out,
    resumes,
    isRestarted,
    shardMembers,
  }: Pick<RankPlace, "out" | "resumes"> & Record<"isRestarted" | "shardMembers", boolean>,
  work: (place: RankPlace) => Promise<T>,
): Promise<T> {
  const run = new RunFolder(out, imageRun);
  const goesOn = resumes || (isRestarted && run.exists);
  const config = goesOn ? run.config() : undefined;
  const places = {
    ...(config && { data: placeOf(out, config.data.at), hub: placeOf(out, config.hub.at) }),
    ...(shardMembers && { shardsAt: out }),
  };
  if (group.rank === 0) {
    group.barrier();
    return work({ out, resumes: goesOn, ...places });
  }
  terminal.quiet = true;
  sweepTemporaries(tmpdir());
  const copy = temporaryPath(tmpdir(), "hub-pathway-rank");
  mkdirSync(copy, { mode: 0o700 });
  using _end = removedAtEnd(copy);
  const own = join(copy, "run");
  const parts = goesOn ? ["run.json", "split.json", "training"] : [];
  for (const part of parts) {
    if (!existsSync(join(out, part))) continue;
    // Ranks that have the models among them read the first one's checkpoints.
    const filter = (path: string) => !(shardMembers && path.endsWith(".safetensors"));
    cpSync(join(out, part), join(own, part), { recursive: true, filter });
  }
  // The first rank goes on writing when all have read.
  group.barrier();
  try {
    return await work({ out: own, resumes: goesOn, ...places });
  } catch (error) {
    // Nobody knows the copy.
    if (error instanceof Error) error.message = error.message.replaceAll(own, out);
    throw error;
  }
}

/** Milliseconds that the others have when a rank ended with an error, and when one was interrupted: they save then. */
const [grace, saving] = [3000, 60_000];

/** The first rank that failed: its exit code, and what ended it where that was a signal. */
interface RanksEnd {
  code: number;
  ended: string | undefined;
}

/**
 * Starts so many ranks of this very command on this machine, and waits for them; where one fails, the others are ended.
 * Whatever is more is a launcher's work.
 * @param json the first rank's line is that of all
 */
async function startRanks(count: number, json: boolean): Promise<RanksEnd> {
  const port = await freePort();
  const threads = String(Math.max(1, Math.floor(availableParallelism() / count)));
  const children: ChildProcess[] = [];
  const start = (rank: number): ChildProcess => {
    const place = { RANK: rank, LOCAL_RANK: rank, WORLD_SIZE: count, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port };
    const variables = Object.entries({ ...place, [ownRanks]: count }).map(([name, value]) => [name, String(value)]);
    const env = { OMP_NUM_THREADS: threads, ...process.env, ...Object.fromEntries(variables) };
    const stdout = rank > 0 ? "ignore" : json ? "pipe" : "inherit";
    const child = startAgain({ without: "--nproc", env, stdio: ["ignore", stdout, "inherit"] });
    children.push(child);
    return child;
  };
  let hasAnswered = false;
  const kill = () => {
    for (const child of children) child.kill("SIGKILL");
  };
  using _signals = forwardSignals(children);
  let first: RanksEnd | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const ends = Array.from({ length: count }, async (_, rank) => {
      const child = start(rank);
      if (rank === 0) {
        child.stdout?.on("data", (text) => {
          answer.isDone = hasAnswered = true;
          process.stdout.write(text);
        });
      }
      const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
      if (code === 0 || first) return;
      const ended = signal === null ? undefined : `rank ${rank} was ended by ${signal}, and the others with it`;
      const ofSignal = signals.some((name) => name === signal) ? interruptedCode : 1;
      first = { code: code ?? ofSignal, ended };
      // Those that meet the same fault have time to say it.
      const time = code === interruptedCode ? saving : signal === null ? grace : 0;
      timer = setTimeout(kill, time);
    });
    await Promise.all(ends);
    if (!first) return { code: 0, ended: undefined };
    // A line of the first rank has its exit code.
    return { ...first, code: (hasAnswered && children[0]?.exitCode) || first.code };
  } catch (error) {
    kill();
    throw new UserError(`not all of ${count} ranks could be started: ${reasonOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

/** A port of this machine that nobody listens at. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
