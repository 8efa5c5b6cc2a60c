/** A rank of tests' groups: does one job after the other that its parent sends, and sends back what each comes to. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mock } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { agreeOn, GradientSums, initProcessGroup, readContract } from "../../src/distributed/index.ts";
import { reasonOf } from "../../src/io/quoted.ts";
import { removedAtEnd } from "../../src/io/temporary.ts";
import { Interrupted, memory, ones, type ProcessGroup, scope, tensor } from "../../src/torch/index.ts";

import type { FitKind } from "./parallel-fits.ts";
import type { RunsSetup } from "./parallel-runs.ts";
import type { Setup } from "./parallel-training.ts";
import type { Job } from "./ranks.ts";

const matrix = (rows: number, first: number) =>
  tensor(
    Array.from({ length: 2 * rows }, (_, i) => first + i),
    { shape: [rows, 2], dtype: "float64" },
  );

/** Every collective on numbers that say which rank they are from. */
function collectives(group: ProcessGroup): unknown {
  const { rank, worldSize } = group;
  const before = memory().handles;
  const found = scope(() => {
    const own = matrix(2, 10 * rank);
    const gathered = matrix(1, rank);
    gathered.requires_grad = true;
    group
      .allGather(gathered)
      .mul(ones([worldSize, 2]).mul(rank + 1))
      .sum()
      .backward();
    const sent = Array.from({ length: worldSize }, (_, to) => Number(to >= rank));
    const received = Array.from({ length: worldSize }, (_, from) => Number(rank >= from));
    const rows = matrix(worldSize - rank, 100 * rank);
    const exchanged = group.allToAll(rows, received, sent);
    return {
      sum: group.allReduce(own).toNumbers(),
      largest: group.allReduce(own, "max").toNumbers(),
      gathered: group.allGather(matrix(1, rank)).toNumbers(),
      gradient: gathered.grad?.toNumbers(),
      scattered: group.reduceScatter(matrix(worldSize, rank)).toNumbers(),
      exchanged: exchanged.toNumbers(),
      broadcast: group.broadcast(own, 1).toNumbers(),
      empty: group.allReduce(matrix(0, 0)).shape,
    };
  });
  group.set(`from ${rank}`, `rank ${rank}`);
  const told = group.get(`from ${(rank + 1) % worldSize}`);
  group.barrier();
  return { ...found, told, handles: memory().handles - before };
}

/** Sums of many collectives with pauses between them; says when it has begun. */
async function rounds(group: ProcessGroup): Promise<unknown> {
  let sum = 0;
  for (let round = 0; round < 20; round++) {
    sum += scope(() =>
      group
        .allReduce(matrix(3, group.rank + round))
        .sum()
        .item(),
    );
    if (round === 0) process.send?.("begun");
    await new Promise((done) => setTimeout(done, 20));
  }
  return { sum };
}

/** Jobs by name. What few need is loaded by them. */
const jobs: Record<string, (group: ProcessGroup, setup: unknown) => unknown> = {
  rounds,
  collectives,
  async train(group, setup) {
    const { trainToy } = await import("./parallel-training.ts");
    return trainToy(setup as Setup, group);
  },
  async fits(group, setup) {
    const { fitToy } = await import("./parallel-fits.ts");
    const found: Record<string, unknown> = {};
    for (const kind of setup as FitKind[]) found[kind] = await fitToy(kind, group);
    return found;
  },
  async runs(group, setup) {
    const { trainKinds } = await import("./parallel-runs.ts");
    const all = setup as RunsSetup | RunsSetup[];
    await trainKinds(Array.isArray(all) ? (all[group.rank] as RunsSetup) : all, group);
    return {};
  },
  /** Gradients of parameters that all ranks touch, the second one alone, or none, sent at once or in the end. */
  gradients(group) {
    const { rank } = group;
    const own = Array.from({ length: 6 }, () => tensor([0, 0]));
    for (const [i, parameter] of own.entries())
      if (i % 3 === 0 || (i % 3 === 1 && rank === 1)) parameter.grad = tensor([i, 10 ** rank]);
    const before = memory().handles;
    const sums = new GradientSums(group);
    sums.start(own.slice(0, 3));
    const figures = sums.finish(own, [rank, 1]);
    const handles = memory().handles - before;
    return { handles, figures, gradients: own.map(({ grad }) => grad?.toNumbers() ?? null) };
  },
  /** Settings of each rank. */
  agree(group, setup) {
    agreeOn(group, "settings", (setup as Record<string, string>[])[group.rank] ?? {});
    return {};
  },
  /** The first rank waits for a text and the last one for a sum, until signals end them; then the other one asks for them. */
  async waits(group, folder) {
    const { rank } = group;
    const own = matrix(1, rank);
    own.requires_grad = true;
    const gathered = group.allGather(own).sum();
    if (rank === 0) removedAtEnd(String(folder));
    const isTold = new Promise((done) => process.once("SIGUSR2", done));
    process.send?.("waits");
    if (rank === 0) return group.get("nothing");
    const sum = () => scope(() => group.allReduce(tensor([1, 2])));
    if (rank === 2) return sum();
    await isTold;
    const errors: string[] = [];
    for (const work of [() => group.during("a backward pass", () => gathered.backward()), sum]) {
      try {
        work();
      } catch (error) {
        errors.push(reasonOf(error));
      }
    }
    return { errors };
  },
  /** The first rank hears of a signal in work that the others wait for. */
  async interrupted(group) {
    const { firstRankFirst } = await import("../../src/train/ranks.ts");
    await firstRankFirst(group, () => Promise.reject(new Interrupted("decoding")));
  },
  /** The second rank hears of a signal in work of its own, which the third one does at the same time. */
  async overheard(group) {
    const { firstRankFirst } = await import("../../src/train/ranks.ts");
    using timer = stoppedClock();
    await firstRankFirst(group, async () => {
      if (group.rank === 1) throw new Interrupted("decoding");
      if (group.rank === 2) timer.call(timer.state);
    });
  },
  /** Each rank works for longer than the others would wait, by a clock that goes on at once. */
  async late(group) {
    const { firstRankFirst } = await import("../../src/train/ranks.ts");
    const order: number[] = [];
    const sums = mock.method(group, "allReduce");
    using timer = stoppedClock();
    await firstRankFirst(group, async () => {
      for (let now = timer.every; now <= 1300 * group.timeout; now += timer.every) timer.call(timer.state);
      order.push(group.rank);
    });
    return { order, answers: sums.mock.callCount() };
  },
  /** The first rank waits for what the second one never says, which stays until the first one is done. */
  async silent(group, folder) {
    const done = join(folder as string, "done");
    if (group.rank === 1) {
      while (!existsSync(done)) await pause(20);
      return {};
    }
    const errors: string[] = [];
    for (const wait of [() => group.get("nothing"), () => scope(() => void group.allReduce(ones([1])))]) {
      try {
        wait();
      } catch (error) {
        errors.push(reasonOf(error));
      }
    }
    writeFileSync(done, "");
    return { errors };
  },
};

/** What `setInterval` is asked for, and does not do. */
function stoppedClock() {
  const timer = { call: (_state: number) => {}, every: Number.NaN, state: Number.NaN };
  const start = (call: () => void, every: number, state: number) => void Object.assign(timer, { call, every, state });
  const clock = mock.method(globalThis, "setInterval", start as unknown as typeof setInterval);
  return Object.assign(timer, { [Symbol.dispose]: () => clock.mock.restore() });
}

/** A command line of the program, which opens the group itself. */
export interface CommandSetup {
  args: readonly string[];
  cwd: string;
  cache: string;
  /** A module that the first rank loads before. */
  first?: string | undefined;
  /** What the last rank's command line has beside. */
  last?: readonly string[] | undefined;
}

async function command(
  { args, cwd, cache, first, last = [] }: CommandSetup,
  env: NodeJS.ProcessEnv = {},
): Promise<unknown> {
  if (first !== undefined && env["RANK"] === "0") await import(first);
  Object.assign(process.env, env, { HUB_PATHWAY_CACHE: cache });
  const [{ main }, { gatheredMain }] = await Promise.all([
    import("../../src/cli/main.ts"),
    import("./gathered-main.ts"),
  ]);
  const isLast = Number(env["RANK"]) === Number(env["WORLD_SIZE"]) - 1;
  return await gatheredMain(main, isLast ? [...args, ...last] : args, cwd);
}

async function work({ job, setup, env, ...waiting }: Job): Promise<unknown> {
  if (job === "command") return await command(setup as CommandSetup, env);
  const contract = readContract(env);
  if (!contract) return { alone: true };
  // A program that hears signals itself, and waits for others as early as it can.
  if (job === "waits") for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => {});
  using group = initProcessGroup(contract, { ...waiting, answer: (message) => JSON.stringify({ message }) });
  return await jobs[job]?.(group, setup);
}

process.on("message", async (job: Job) => {
  process.send?.(await work(job).catch((error: unknown) => ({ error: reasonOf(error) })));
});
