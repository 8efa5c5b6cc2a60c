/** One rank of a test's group: does what its first argument says, and writes one JSON line. */
import { agreeOn, initProcessGroup, readContract } from "../../src/distributed/index.ts";
import { memory, ones, type ProcessGroup, scope, tensor } from "../../src/torch/index.ts";

import { type FitKind, fitToy } from "./parallel-fits.ts";
import { type RunsSetup, trainKinds } from "./parallel-runs.ts";
import { type Setup, trainToy } from "./parallel-training.ts";

const [job = "", timeout = "30", setup = "{}"] = process.argv.slice(2);

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
  for (let round = 0; round < 60; round++) {
    sum += scope(() =>
      group
        .allReduce(matrix(3, group.rank + round))
        .sum()
        .item(),
    );
    if (round === 0) console.log("begun");
    await new Promise((done) => setTimeout(done, 20));
  }
  return { sum };
}

async function work(): Promise<unknown> {
  const contract = readContract();
  if (!contract) return { alone: true };
  using group = initProcessGroup(contract, Number(timeout));
  if (job === "rounds") return await rounds(group);
  if (job === "collectives") return collectives(group);
  if (job === "train") return trainToy(JSON.parse(setup) as Setup, group);
  if (job === "fits") {
    const found: Record<string, unknown> = {};
    for (const kind of JSON.parse(setup) as FitKind[]) found[kind] = await fitToy(kind, group);
    return found;
  }
  if (job === "runs") {
    const setups = JSON.parse(setup) as RunsSetup | RunsSetup[];
    await trainKinds(Array.isArray(setups) ? (setups[group.rank] as RunsSetup) : setups, group);
    return {};
  }
  if (job === "differ") agreeOn(group, "settings", { method: "hub-pathway", k: String(group.rank === 1 ? 3 : 2) });
  if (job === "agree") agreeOn(group, "settings", { method: "hub-pathway", k: "2" });
  if (job === "absent" && group.rank === 1) process.exit(0);
  const { shape } = scope(() => group.allReduce(tensor([1, 2])));
  return { shape };
}

try {
  console.log(JSON.stringify(await work()));
} catch (error) {
  console.log(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
}
