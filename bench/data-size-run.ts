/** One measurement of data-size.ts: `train` to its first step, or the batches of an epoch (`load`); prints its figures as JSON. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { train } from "../src/library/index.ts";
import { Interrupted, ownProcess } from "../src/torch/index.ts";
import { prepareData } from "../src/train/index.ts";

const [what, images = "", size] = process.argv.slice(2);
ownProcess();
const imageSize = Number(size);
const began = performance.now();
const since = () => (performance.now() - began) / 1000;
const figures = what === "train" ? await firstStep() : await epoch();
process.stdout.write(JSON.stringify(figures));

async function firstStep(): Promise<{ seconds: number }> {
  const out = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  const stop = new AbortController();
  let seconds = 0;
  try {
    await train({
      images,
      imageSize,
      method: "fine-tune",
      choices: { member: "mobilenet-glyphs-supervised" },
      epochs: 1,
      out: join(out, "run"),
      signal: stop.signal,
      onEvent: ({ type }) => {
        if (type !== "step" || seconds > 0) return;
        seconds = since();
        stop.abort();
      },
    });
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
  return { seconds };
}

async function epoch(): Promise<{ imagesPerSecond: number }> {
  const data = await prepareData({
    source: images,
    imageSize,
    split: {},
    augment: "standard",
    batchSize: 48,
    seed: 0,
  });
  const start = performance.now();
  let count = 0;
  for await (const batch of data.train.epoch(0, 0)) {
    count += batch.indices.length;
    batch.dispose();
  }
  data.dispose();
  return { imagesPerSecond: (1000 * count) / (performance.now() - start) };
}
