/** Exported runs of a hub in three precisions: what validation accuracy, bytes and time an image become. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import type { Bundle } from "../src/runtime/index.ts";
import { openBundle } from "../src/runtime/node.ts";
import { type Figure, median } from "./figure.ts";
import { command } from "./server-process.ts";

const precisions = ["float32", "float16", "int8"] as const;

/** Accuracy may be lost here: the gate would refuse to write what is to be measured. */
const maxDrop = "100";

/** @param rounds images that each bundle answers, in turn */
export async function bundlePrecision(hub: string, rounds: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    const run = join(folder, "run");
    command("train", "emoji", "--hub", hub, "--out", run, "--freeze-members", "--credit", "losses");
    for (const precision of precisions) {
      command("export", run, "--out", join(folder, precision), "--precision", precision, "--max-drop", maxDrop);
    }
    const bundles = precisions.map(
      (name) => JSON.parse(readFileSync(join(folder, name, "bundle.json"), "utf8")) as Bundle,
    );
    const times = await milliseconds(
      precisions.map((name) => join(folder, name)),
      rounds,
    );
    return precisions.flatMap((name, i) =>
      figures(`${hub}, ${name}`, bundles[i] as Bundle, bundles[0] as Bundle, times[i] ?? 0, times[0] ?? 0),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function figures(name: string, bundle: Bundle, plain: Bundle, ms: number, plainMs: number): Figure[] {
  const { gate } = bundle;
  if (!gate || !("accuracy" in gate)) throw new Error(`${name} was not measured`);
  const points = 100 * (gate.accuracy - gate.runAccuracy);
  const reported = { goal: "reported", met: true };
  const bytes = ({ files }: Bundle): number => Object.values(files).reduce((sum, file) => sum + file.bytes, 0) / 1e6;
  return [
    {
      name: `${name}: validation accuracy, ${gate.otherLabels} of ${gate.items} labels are others`,
      ours: { what: "%", value: 100 * gate.accuracy },
      other: { what: "% of the run", value: 100 * gate.runAccuracy },
      ratio: gate.accuracy / gate.runAccuracy,
      goal: "0.5 points lost at most",
      met: points >= -0.5,
    },
    {
      name: `${name}: all files`,
      ours: { what: "MB", value: bytes(bundle) },
      other: { what: "MB in float32", value: bytes(plain) },
      ratio: bytes(bundle) / bytes(plain),
      ...reported,
    },
    {
      name: `${name}: an image, onnxruntime-node`,
      ours: { what: "ms", value: ms },
      other: { what: "ms in float32", value: plainMs },
      ratio: ms / plainMs,
      ...reported,
    },
  ];
}

/** Median milliseconds of router and models for an image of noise, all models open. */
async function milliseconds(folders: readonly string[], rounds: number): Promise<number[]> {
  const models = await Promise.all(folders.map((folder) => openBundle(folder, { ort })));
  const taken = models.map((): number[] => []);
  for (let round = -5; round < rounds; round++) {
    for (const [i, model] of models.entries()) {
      const { size } = model.bundle.images;
      const data = Uint8ClampedArray.from({ length: 4 * size ** 2 }, (_, at) =>
        at % 4 === 3 ? 255 : Math.imul(at + round, 2654435761) >>> 24,
      );
      const { milliseconds: stages } = await model.predict({ data, width: size, height: size });
      if (round >= 0) taken[i]?.push(stages.run);
    }
  }
  for (const model of models) await model.close();
  return taken.map(median);
}
