/** A training epoch from image files with the decoded cache warm, against the same epoch from tensors in memory. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { augmentations, ImageStore, imageFolder, Loader } from "../src/data/index.ts";
import { createBackbone } from "../src/models/index.ts";
import { Linear } from "../src/nn/index.ts";
import { AdamW } from "../src/optim/index.ts";
import { Generator, ops, scope, type Tensor, tensor } from "../src/torch/index.ts";
import { type Figure, inTurn, median, ratioFigure } from "./figure.ts";

const [perClass, classes, side, batchSize] = [240, 4, 48, 48];

export async function loaderEpoch(rounds: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  const cacheBefore = process.env["HUB_PATHWAY_CACHE"];
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  try {
    const dataset = imageFolder(await writeImages(folder));
    const indices = dataset.items.map((_, i) => i);
    const began = performance.now();
    const store = await ImageStore.open(dataset, { size: side });
    const loader = loaderOver(
      store,
      indices,
      dataset.items.map((item) => item.label),
    );
    const epoch = trainer();
    await epoch(loader);
    const first = (performance.now() - began) / 1000;
    const inMemory = loaderOver(
      await residentStore(store, indices),
      indices,
      dataset.items.map((item) => item.label),
    );
    const timed = (source: Loader) => async () => {
      const start = performance.now();
      await epoch(source);
      return (performance.now() - start) / 1000;
    };
    const [cached, resident] = await inTurn(rounds, timed(loader), timed(inMemory));
    const other = { what: "s an epoch, tensors in memory", value: median(resident) };
    const note = `${indices.length} PNG and JPEG files, ${side} px, standard augmentation, a small ResNet`;
    return [
      ratioFigure(
        "training epoch with the decoded cache warm",
        { what: "s an epoch, files", value: median(cached) },
        other,
        1.03,
        note,
      ),
      {
        ...ratioFigure(
          "first epoch, decoding included",
          { what: "s, files", value: first },
          other,
          Number.POSITIVE_INFINITY,
          note,
        ),
        goal: "reported",
      },
    ];
  } finally {
    if (cacheBefore === undefined) delete process.env["HUB_PATHWAY_CACHE"];
    else process.env["HUB_PATHWAY_CACHE"] = cacheBefore;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes a folder of images with a sub-folder for each of four classes, and returns it. */
export async function writeImages(folder: string, each = perClass): Promise<string> {
  const root = join(folder, "images");
  for (let label = 0; label < classes; label++) {
    mkdirSync(join(root, `class${label}`), { recursive: true });
    for (let i = 0; i < each; i++) {
      const noise = { type: "gaussian", mean: 60 + 40 * label, sigma: 30 } as const;
      const image = sharp({ create: { width: 256, height: 256, channels: 3, background: "#000", noise } });
      const path = join(root, `class${label}`, `${i}.${i % 2 === 0 ? "png" : "jpg"}`);
      await image.toFile(path);
    }
  }
  return root;
}

function loaderOver(store: Pick<ImageStore, "batch">, indices: number[], labels: number[]): Loader {
  return new Loader({
    store,
    indices,
    labels,
    classes,
    batchSize,
    seed: 0,
    shuffle: true,
    augment: augmentations.standard,
  });
}

/** The same images as one tensor in ordinary memory. */
async function residentStore(
  store: ImageStore,
  indices: readonly number[],
): Promise<Pick<ImageStore, "batch" | "dispose">> {
  const all = await store.batch(indices);
  const batch = async (wanted: readonly number[]): Promise<Tensor> =>
    scope(() => all.index_select(0, tensor(BigInt64Array.from(wanted, BigInt))));
  return { batch, dispose: () => all.dispose() };
}

function trainer(): (loader: Loader) => Promise<void> {
  const generator = new Generator(0);
  const backbone = createBackbone(
    "resnet",
    { layers: [2, 2, 2, 2], width: 20, stem: "small", stemStride: 2 },
    { generator },
  );
  backbone.to({ memory_format: "channels_last" });
  const head = new Linear(backbone.featureWidth, classes, { generator });
  const optimizer = new AdamW([{ params: [...backbone.parameters(), ...head.parameters()], lr: 1e-4 }]);
  return async (loader) => {
    for await (const batch of loader.epoch(0)) {
      const loss = scope(() =>
        ops.cross_entropy_loss(head.forward(backbone.forward(batch.images.contiguous("channels_last"))), batch.targets),
      );
      scope(() => {
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
      loss.dispose();
      batch.dispose();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
}
