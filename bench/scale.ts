/**
 * `npm run scale [-- --ranks N --plan PLAN]`: seconds of a training step on hosts that are network namespaces, at links of
 * several delays and rates, beside what `scale-model.ts` predicts. Without options the page is written from what was measured
 * before; with them one setting is measured and kept: --ranks 1 first, which is what the model knows of the machine.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Link as HostLink, Hosts } from "../test/support/hosts.ts";
import { writeHub } from "./large-hub.ts";
import { scalePage } from "./scale-page.ts";
import { Ranks } from "./scale-ranks.ts";
import type { MeasuredPlan, Point, Scale, Series, Setting } from "./scale-series.ts";

const links: readonly Required<HostLink>[] = [
  { delayMs: 0.1, mbits: 10_000 },
  { delayMs: 0.1, mbits: 100 },
  { delayMs: 20, mbits: 10_000 },
  { delayMs: 20, mbits: 100 },
];
const [models, batch, side, classes, k] = [4, 32, 48, 10, 2];
const results = fileURLToPath(new URL("../docs/results/", import.meta.url));
const file = join(results, "scale.json");

/** One rank tells what rows and models cost: whole batches and parts of them, all models and half of them. */
const alone = [
  { models, rows: batch },
  { models, rows: batch / 2 },
  { models, rows: batch / 4 },
  { models: models / 2, rows: batch },
  { models: models / 2, rows: batch / 4 },
];

async function measure(dir: string, ranks: number, plan: MeasuredPlan): Promise<Series> {
  const found = [];
  for (const [i, size] of (ranks === 1 ? alone : alone.slice(0, 1)).entries()) {
    const hub = join(dir, String(i));
    writeHub(hub, size.models);
    found.push(await measureSize(hub, ranks, plan, size));
  }
  const [whole] = found;
  if (!whole) throw new RangeError("nothing was measured");
  return { ...whole, points: found.flatMap(({ points }) => points) };
}

async function measureSize(
  dir: string,
  ranks: number,
  plan: MeasuredPlan,
  size: (typeof alone)[number],
): Promise<Series> {
  // Statistics of all ranks at a low rate would take minutes, and show nothing more.
  const shown = plan === "synchronised" ? links.filter(({ mbits }) => mbits === 10_000) : links;
  const own = ranks === 1 ? [{ delayMs: 0, mbits: 0 }] : shown;
  const steps = ranks === 1 ? 7 : plan === "synchronised" ? 3 : plan === "sharded" ? 9 : 5;
  // Before the first link that counts, everything is done once for nothing.
  const setting: Setting = { plan, batch: size.rows, steps, phases: own.length + 1, side, classes, k };
  await using hosts = ranks === 1 ? undefined : await Hosts.open(ranks, links[0]);
  using all = await Ranks.start(hosts, dir, setting);
  await all.phase();
  const points: Point[] = [];
  for (const link of own) {
    hosts?.setLink(link);
    const measured = await all.phase();
    points.push({ ...link, models: size.models, batch: size.rows, ...measured });
    const { seconds, collectives } = measured;
    console.error(
      `${ranks} ranks, ${plan}, ${JSON.stringify(link)}: ${seconds.toFixed(3)} s, ${collectives} collectives`,
    );
  }
  return { ...all.facts, ranks, plan, flops: await all.flops(), points };
}

function known(): Scale {
  const machine = `${cpus().length} x ${cpus()[0]?.model}`;
  const empty = { machine, processors: cpus().length, models, batch, classes, k, series: [] };
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Scale) : empty;
}

const { values: flags } = parseArgs({
  options: { ranks: { type: "string" }, plan: { type: "string", default: "replicated" } },
});
const scale = known();
if (flags.ranks !== undefined) {
  const [ranks, plan] = [Number(flags.ranks), flags.plan as MeasuredPlan];
  const dir = mkdtempSync(join(tmpdir(), "hub-pathway-scale-"));
  try {
    const series = await measure(dir, ranks, plan);
    const others = scale.series.filter((one) => one.ranks !== ranks || one.plan !== plan);
    const all = [...others, series].sort((a, b) => a.ranks - b.ranks || a.plan.localeCompare(b.plan));
    writeFileSync(file, `${JSON.stringify({ ...scale, series: all }, null, 1)}\n`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
} else writeFileSync(join(results, "scale.md"), scalePage(scale));
