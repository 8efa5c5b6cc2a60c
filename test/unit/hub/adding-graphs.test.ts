/** Graphs of others as members of a hub: grey and rectangular inputs, notes, features that are too narrow. */
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "../../../src/graphs/onnx/onnx-pb.generated.ts";
import { addMember, loadMember, openHub, readManifest, verifyHub, writeManifest } from "../../../src/hub/index.ts";
import { ops, scope, UserError } from "../../../src/torch/index.ts";
import { type GraphSpec, ints, model, type NodeSpec } from "../../fixtures/onnx/builder.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";
import { weights } from "../../support/onnx-agreement.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const body: readonly NodeSpec[] = [
  { op: "Conv", inputs: ["image", "w"], outputs: ["c"] },
  { op: "Relu", inputs: ["c"], outputs: ["r"] },
  { op: "GlobalAveragePool", inputs: ["r"], outputs: ["p"] },
  { op: "Flatten", inputs: ["p"], outputs: ["pooled"] },
];

function written(spec: GraphSpec): { hub: string; source: string } {
  const folder = mkdtempSync(join(temporaryFolder(), "graph"));
  const source = join(folder, "net.onnx");
  writeFileSync(source, toBinary(ModelProtoSchema, model(spec)));
  return { hub: join(folder, "hub"), source };
}

const input = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

test("a grey rectangle: sides in hub.json, images of a square stretched to them, luminance", async () => {
  const head: NodeSpec[] = [
    { op: "Gemm", inputs: ["pooled", "h"], outputs: ["logits"] },
    { op: "ArgMax", inputs: ["logits"], outputs: ["label"], attributes: { axis: 1 } },
    { op: "NonMaxSuppression", inputs: ["logits", "label"], outputs: ["boxes"] },
  ];
  const initializers = [weights("w", [8, 1, 3, 3]), weights("h", [8, 4])];
  const spec = { nodes: [...body, ...head], initializers, input: ["n", 1, 12, 20], outputs: ["boxes", "label"] };
  const { hub, source } = written(spec);
  const { entry, notes } = await addMember({ hub, name: "net", source, wishes: { input } });
  assert.deepEqual(entry.config, { features: "pooled" });
  assert.deepEqual([entry.input.size, entry.input.sides], [20, [12, 20]]);
  assert.ok(
    notes.some((note) => /^left away: .*"boxes", "label".*NonMaxSuppression/.test(note)),
    notes.join("\n"),
  );
  assert.deepEqual(verifyHub(openHub(hub)), [{ name: "net", problems: [] }]);
  const manifest = readManifest(hub);
  writeManifest(hub, manifest);
  assert.deepEqual(readManifest(hub), manifest);
  using square = seeded("image", [2, 3, 32, 32], "float32");
  assertNoLeak(() => {
    const member = loadMember(hub, entry);
    member.backbone.eval();
    assert.ok(member.flops > 0);
    scope(() => {
      const stretched = ops._upsample_bilinear2d_aa(square, [12, 20], false);
      assertClose(member.features(square), member.features(stretched).toNumbers(), 1e-5);
      // A grey picture is its own luminance.
      const grey = square.narrow(1, 0, 1).expand([2, 3, 32, 32]);
      const w = member.backbone.namedParameters().get("graph.w");
      assert.ok(w);
      const small = ops._upsample_bilinear2d_aa(grey, [12, 20], false).sub(0.5).div(0.5);
      const maps = ops.relu(ops.conv2d(small.narrow(1, 0, 1), w));
      assertClose(member.features(grey), maps.mean([2, 3]).toNumbers(), 1e-5);
    });
    member.dispose();
  });
  const size = { input: { ...input, size: 64 } };
  await assert.rejects(
    addMember({ hub, name: "other", source, wishes: size }),
    (error: unknown) => error instanceof UserError && /12 x 20 pixels and no other: leave --size/.test(error.message),
  );
});

test("features under 8 wide are refused with alternatives, and taken where they are named", async () => {
  const nodes: NodeSpec[] = [
    ...body.slice(0, 2),
    { op: "Conv", inputs: ["r", "squeeze"], outputs: ["s"] },
    { op: "Reshape", inputs: ["s", "rows"], outputs: ["map"] },
    { op: "Relu", inputs: ["map"], outputs: ["out"] },
  ];
  const initializers = [weights("w", [8, 3, 3, 3]), weights("squeeze", [2, 8, 1, 1]), ints("rows", [0, 2, 10, 10])];
  const { hub, source } = written({ nodes, initializers, input: ["n", 3, 12, 12] });
  const wishes = { input };
  await assert.rejects(
    addMember({ hub, name: "net", source, wishes }),
    (error: unknown) => error instanceof UserError && /"out", is 2 wide.*--features, such as r, /.test(error.message),
  );
  const { entry } = await addMember({ hub, name: "net", source, wishes: { ...wishes, features: "out" } });
  assert.equal(entry.featureWidth, 2);
});
