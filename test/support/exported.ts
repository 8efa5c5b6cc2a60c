/** Exported models against the network that they were exported from: onnxruntime's results for another number of rows. */
import assert from "node:assert/strict";
import { type Exportable, exportOnnx, type OnnxExportOptions } from "../../src/export/index.ts";
import { openOnnx } from "../../src/graphs/index.ts";
import { type Backbone, evaluating } from "../../src/models/index.ts";
import { inferenceMode, scope, Tensor } from "../../src/torch/index.ts";
import { type Outcome, runtime, Workplace } from "../fixtures/onnx/builder.ts";
import { seeded } from "../fixtures/seeded-weights.ts";

export const workplace = new Workplace();
process.on("exit", () => workplace[Symbol.dispose]());

/** Rows of the example and of the batch on which results are compared. */
const [recorded, run] = [2, 5];

/** Largest difference over the largest element. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length, "number of elements");
  const scale = Math.max(...Array.from(expected, Math.abs), 1e-6);
  const off = Array.from(expected, (value, i) => {
    const own = actual[i] ?? Number.NaN;
    return Object.is(own, value) || own === value ? 0 : Math.abs(own - value);
  });
  return off.some(Number.isNaN) ? Number.POSITIVE_INFINITY : Math.max(...off) / scale;
}

/** Asserts that onnxruntime gives the function's results on five rows of a model that was recorded on two. */
export async function agrees(fn: Exportable, sides: readonly number[], options: OnnxExportOptions = {}): Promise<void> {
  using example = seeded("example", [recorded, ...sides], "float32");
  using x = seeded("images", [run, ...sides], "float32");
  await modelAgrees(exportOnnx(fn, example, options), fn, x, options.name);
}

/** Asserts that onnxruntime gives a function's results with a model. */
export async function modelAgrees(model: Uint8Array, fn: Exportable, x: Tensor, what = "function"): Promise<void> {
  const outcomes = await runtime(workplace.write(model, "function.onnx"), x);
  scope(() => {
    const result = inferenceMode(() => fn(x));
    for (const [name, tensor] of Object.entries(result instanceof Tensor ? { output: result } : result)) {
      const outcome = outcomes.get(name);
      assert.ok(outcome, `${what}: an output "${name}"`);
      assert.deepEqual([...outcome.shape], [...tensor.shape], what);
      const difference = relativeDifference(outcome.values, tensor.toNumbers());
      assert.ok(difference < 1e-5, `${what}: a difference of ${difference}`);
    }
  });
}

/**
 * Differences of an exported backbone's features from its own: in onnxruntime, and when this project's importer reads them,
 * which takes images alone.
 */
export async function featureDifferences(
  backbone: Backbone,
  sides: readonly number[],
  imports = sides[0] === 3,
): Promise<{ runtime: number; imported: number; path: string }> {
  using example = seeded("example", [recorded, ...sides], "float32");
  using x = seeded("images", [run, ...sides], "float32");
  const path = workplace.write(exportOnnx(backbone, example, { output: "features" }), "backbone.onnx");
  const { values, shape } = (await runtime(path, x)).get("features") as Outcome;
  return scope(() => {
    const expected = evaluating(backbone, () => backbone.forward(x));
    assert.deepEqual([...shape], [...expected.shape]);
    const numbers = expected.toNumbers();
    return { runtime: relativeDifference(values, numbers), imported: imports ? imported(path, x, numbers) : 0, path };
  });
}

function imported(path: string, x: Tensor, expected: readonly number[]): number {
  using back = openOnnx(path, { features: "features" });
  return relativeDifference(evaluating(back, () => back.forward(x)).toNumbers(), expected);
}
