/** Bundles in fewer bytes: what their files hold, that they answer, and what is refused. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { type Bundle, readBundle, verifyBundle } from "../../../src/export/index.ts";
import { onnx } from "../../../src/graphs/index.ts";
import { exportedBundle, trainedRun, writeSmallTask } from "../../support/small-bundle.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder, 80);
  await trainedRun(folder, "run", ({ options }) => ({ options: { ...options, epochs: 6 } }));
  await exportedBundle(folder, "run", "float32", 2);
});

/** Bytes of the members' files. */
const bytesOf = ({ files }: Bundle): number =>
  Object.entries(files).reduce((sum, [name, { bytes }]) => sum + (name.startsWith("members/") ? bytes : 0), 0);

const graphOf = (bundle: string, file: string): onnx.GraphProto =>
  fromBinary(onnx.ModelProtoSchema, readFileSync(join(folder, bundle, file))).graph as onnx.GraphProto;

const { FLOAT, FLOAT16, INT8 } = onnx.TensorProto_DataType;

test("float16 halves the weights, and answers within its rounding", async () => {
  const bundle = await exportedBundle(folder, "run", "float16", 2, { precision: "float16" });
  assert.equal(bundle.precision, "float16");
  assert.ok(bytesOf(bundle) < 0.75 * bytesOf(readBundle(join(folder, "float32"))));
  assert.ok(bundle.gate && "accuracy" in bundle.gate && bundle.gate.otherLabels <= 1, JSON.stringify(bundle.gate));
  for (const { file } of bundle.members) {
    for (const { dims, dataType, name } of graphOf("float16", file).initializer) {
      // Biases, norms and the resizing stay as they are.
      if (dims.length === 4 && name.includes("weight")) assert.equal(dataType, FLOAT16, name);
      if (dims.length === 1 || name.startsWith("resize")) assert.notEqual(dataType, FLOAT16, name);
    }
  }
  const { selfTest } = await verifyBundle(join(folder, "float16"));
  assert.ok(selfTest && selfTest.probabilities < 1e-5);
  assert.match(
    readFileSync(join(folder, "float16/README.md"), "utf8"),
    /precision is float16; all files together have/,
  );
});

test("int8 has weights of one byte with a scale for each output channel, and integer products", async () => {
  const bundle = await exportedBundle(folder, "run", "int8", 2, { precision: "int8", maxDrop: 3 });
  assert.equal(bundle.precision, "int8");
  assert.ok(bundle.gate && "accuracy" in bundle.gate && bundle.gate.otherLabels <= 0.05 * bundle.gate.items);
  for (const { file } of bundle.members) {
    const [whole, plain] = [graphOf("int8", file), graphOf("float32", file)];
    const makers = new Map(whole.node.flatMap((node) => node.output.map((name) => [name, node.opType] as const)));
    const constants = new Map(whole.initializer.map((tensor) => [tensor.name, tensor]));
    const before = new Map(plain.node.map((node) => [node.output[0], node]));
    const weights = new Map(plain.initializer.map((tensor) => [tensor.name, tensor]));
    const convolutions = whole.node.filter(({ opType }) => opType === "Conv");
    assert.ok(convolutions.length > 2);
    for (const { input, output } of convolutions) {
      assert.deepEqual(new Set(input.map((name) => makers.get(name))), new Set(["DequantizeLinear"]), output[0]);
      const stored = constants.get(`${output[0]}.weight.q`);
      const scales = constants.get(`${output[0]}.weight.scale`);
      const weight = weights.get(before.get(output[0])?.input[1] ?? "");
      assert.ok(stored?.dataType === INT8 && weight?.dataType === FLOAT && scales);
      const floats = new Float32Array(new Uint8Array(weight.rawData).buffer);
      const rounded = new Int8Array(new Uint8Array(stored.rawData).buffer);
      const each = floats.length / Number(weight.dims[0]);
      const steps = new Float32Array(new Uint8Array(scales.rawData).buffer);
      assert.equal(steps.length, Number(weight.dims[0]));
      for (const [i, value] of floats.entries()) {
        const step = steps[Math.floor(i / each)] ?? 0;
        assert.ok(Math.abs(value - step * (rounded[i] ?? 0)) <= 0.5001 * step, `${output[0]} ${i}`);
      }
    }
  }
  const { selfTest } = await verifyBundle(join(folder, "int8"));
  assert.ok(selfTest && selfTest.otherRoutes === 0);
});

test("integers without enough training images are refused", async () => {
  const small = temporaryFolder();
  await writeSmallTask(small);
  await trainedRun(small, "run");
  await assert.rejects(
    exportedBundle(small, "run", "none", 2, { precision: "int8" }),
    /at least 128 .* there are 1\d: use/,
  );
  assert.ok(!existsSync(join(small, "none")));
});
