/** Whole networks of torchvision, timm and transformers against onnxruntime on the same file. */
// Long: networks of every kind are answered, and trained.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { openOnnx } from "../../../src/graphs/index.ts";
import { grad, memory, noGrad, scope, type Tensor } from "../../../src/torch/index.ts";
import { runtime, Workplace } from "../../fixtures/onnx/builder.ts";
import { network, networkNames } from "../../fixtures/onnx/networks.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { assertNoLeak } from "../../support/numeric.ts";

const workplace = new Workplace();
after(() => workplace[Symbol.dispose]());

const written = new Map<string, string>();

/** Path of a network's file, which is made once. */
function fileOf(name: string): string {
  const path = written.get(name) ?? workplace.write(network(name), `${name}.onnx`);
  written.set(name, path);
  return path;
}

function sideOf(name: string): number {
  return name.startsWith("swin") ? 56 : name.startsWith("group") ? 16 : 32;
}

/** The slope of the features along a direction in the space of the parameters: by autograd, and by finite differences. */
function slopes(model: ReturnType<typeof openOnnx>, images: Tensor): [number, number] {
  const parameters = [...model.namedParameters()];
  const directions = parameters.map(([name, { shape }]) => seeded(`direction ${name}`, shape));
  const weight = seeded("weight", [images.size(0), model.featureWidth]);
  const value = (): Tensor => model.forward(images).mul(weight).sum([0, 1]);
  const along = scope(() => {
    const tensors = parameters.map(([, parameter]) => parameter);
    const gradients = grad([value()], tensors, { allow_unused: true });
    return gradients.reduce(
      (sum, gradient, i) =>
        sum +
        (gradient
          ?.mul(directions[i] as Tensor)
          .sum()
          .item() ?? 0),
      0,
    );
  });
  const at = (step: number): number =>
    scope(() =>
      noGrad(() => {
        for (const [i, [, parameter]] of parameters.entries()) parameter.add_(directions[i] as Tensor, { alpha: step });
        return value().item();
      }),
    );
  const step = 1e-7;
  const higher = at(step);
  const lower = at(-2 * step);
  for (const tensor of [...directions, weight]) tensor.dispose();
  return [along, (higher - lower) / (2 * step)];
}

describe("gradients of networks agree with finite differences", () => {
  for (const name of networkNames().filter((one) => !one.endsWith("-fixed"))) {
    test(name, () => {
      const side = sideOf(name);
      using model = openOnnx(fileOf(name), { size: side });
      model.eval().to({ dtype: "float64" });
      using images = seeded("image", [1, 3, side, side]);
      const [along, difference] = slopes(model, images);
      assert.ok(Math.abs(along) > 1e-6, `${name}: a slope of ${along}`);
      assert.ok(Math.abs(along - difference) < 1e-4 * Math.abs(along) + 1e-6, `${name}: ${along} and ${difference}`);
    });
  }
});

describe("networks give what onnxruntime gives", () => {
  for (const name of networkNames()) {
    test(name, async () => {
      const path = fileOf(name);
      const side = sideOf(name);
      const isFixed = name.endsWith("-fixed");
      using images = seeded("image", [2, 3, side, side], "float32");
      using model = openOnnx(path, { size: side });
      model.eval();
      assert.deepEqual(model.input.sides, [side, side]);
      for (let i = 0; i < 2; i++) {
        // A file for one image is asked about both; the reader takes them all at once.
        const [first, count] = isFixed ? [i, 1] : [0, 2];
        using part = images.narrow(0, first, count);
        const [expected] = (await runtime(path, part)).values();
        assert.ok(expected);
        scope(() =>
          noGrad(() => {
            const scores = model.classify(images);
            assert.ok(scores);
            const rows = scores.narrow(0, first, count);
            assert.deepEqual(rows.shape, expected.shape);
            const largest = Math.max(...expected.values.map(Math.abs));
            assert.ok(largest > 1e-3, `${name} gives next to nothing: ${largest}`);
            const errors = rows.toNumbers().map((value, k) => Math.abs(value - (expected.values[k] ?? Number.NaN)));
            assert.ok(Math.max(...errors) <= 1e-4 * largest, `${name}: ${Math.max(...errors)} of ${largest}`);
            assert.equal(model.forward(images).size(1), model.featureWidth);
          }),
        );
        if (!isFixed) break;
      }
    });
  }
});

test("nothing is left behind by opening, running and training", () => {
  const path = fileOf("swin-dynamo");
  const before = memory().handles;
  assertNoLeak(() => {
    using model = openOnnx(path, { size: 56 });
    using images = seeded("image", [2, 3, 56, 56], "float32");
    scope(() => model.forward(images).square().sum([0, 1]).backward());
  });
  assert.equal(memory().handles, before);
});
