/** Features of images by a frozen ResNet-50 (224 px) against PyTorch eager and onnxruntime, one thread each, in turn. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { exportOnnx } from "../src/export/index.ts";
import { createBackbone } from "../src/models/index.ts";
import { FoldedNorms } from "../src/nn/index.ts";
import { Generator, getNumThreads, inferenceMode, rand, scope, setNumThreads } from "../src/torch/index.ts";
import { type Figure, inTurn, median, processorSeconds, ratioFigure } from "./figure.ts";

const [batch, side, passes] = [8, 224, 2];

/** Undefined when the given Python has no torch and onnxruntime. */
export async function inference(python: string, rounds: number): Promise<Figure[] | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-inference-"));
  const threads = getNumThreads();
  using generator = new Generator(0);
  using network = createBackbone("resnet", { layers: [3, 4, 6, 3], block: "bottleneck" }, { generator });
  network.eval();
  const file = join(folder, "network.onnx");
  writeFileSync(
    file,
    scope(() => exportOnnx(network, rand([2, 3, side, side], { generator }))),
  );
  network.to({ memory_format: "channels_last" });
  using folds = new FoldedNorms();
  using images = scope(() => rand([batch, 3, side, side], { generator }).contiguous("channels_last"));
  const script = fileURLToPath(new URL("reference/inference.py", import.meta.url));
  const child = spawn(python, [script, String(batch), String(side), file], { stdio: ["pipe", "pipe", "ignore"] });
  child.on("error", () => {});
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value: versions, done } = await lines.next();
    if (done) return undefined;
    setNumThreads(1);

    const pass = () => scope(() => inferenceMode(() => void folds.run(() => network.forward(images))));
    const ours = () => processorSeconds(() => Array.from({ length: passes }, pass)) / passes;
    const figures: Figure[] = [];
    for (const [which, name, goal] of [
      ["torch", "PyTorch eager", 0.6],
      ["onnx", "onnxruntime", 1],
    ] as const) {
      const theirs = async () => {
        child.stdin.write(`${which} ${passes}\n`);
        return Number((await lines.next()).value) / passes;
      };
      await inTurn(1, ours, theirs);
      const [a, b] = await inTurn(rounds, ours, theirs);
      figures.push(
        ratioFigure(
          `features of ${batch} images by ResNet-50 at ${side} px, against ${name}`,
          { what: "s, this engine", value: median(a) },
          { what: `s, ${name}`, value: median(b) },
          goal,
          `processor time, one thread, median of ${rounds} rounds in turn; ${versions}`,
        ),
      );
    }
    return figures;
  } finally {
    setNumThreads(threads);
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
