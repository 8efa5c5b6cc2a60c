/** The files of a model that joins a hub: further files beside it, links, and messages in the user's own paths. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from "../../../src/graphs/onnx/onnx-pb.generated.ts";
import { addMember, openHub, verifyHub } from "../../../src/hub/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { floats, model } from "../../fixtures/onnx/builder.ts";
import { beforeEach } from "../../support/hooks.ts";
import { conv, pool } from "../../support/hostile-onnx.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const values = Array.from({ length: 24 }, (_, i) => Math.sin(i));
let folder = "";
let hub = "";

beforeEach(() => {
  folder = fs.mkdtempSync(join(temporaryFolder(), "x"));
  hub = join(folder, "hub");
});

/** Writes DIR/net.onnx, whose weights lie in a file beside it. */
function writeNetwork(dir: string, location: string): string {
  fs.mkdirSync(dir, { recursive: true });
  const weight = floats("w", [8, 3, 1, 1], values);
  const external = {
    ...weight,
    floatData: [],
    rawData: new Uint8Array(),
    dataLocation: TensorProto_DataLocation.EXTERNAL,
  };
  const externalData = [create(StringStringEntryProtoSchema, { key: "location", value: location })];
  const made = model({ nodes: [conv, pool], initializers: [{ ...external, externalData }] });
  fs.writeFileSync(join(dir, "net.onnx"), toBinary(ModelProtoSchema, made));
  return join(dir, "net.onnx");
}

const data = Buffer.from(Float32Array.from(values).buffer);

function add(source: string): Promise<unknown> {
  const input = { size: 16, mean: [0, 0, 0], std: [1, 1, 1] };
  return addMember({ hub, name: "net", source, wishes: { input } });
}

async function refused(source: string, ...patterns: RegExp[]): Promise<void> {
  await assert.rejects(add(source), (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    for (const pattern of patterns) assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\.adding|\.tmp|ENOENT/);
    return true;
  });
  assert.ok(!fs.existsSync(hub));
}

test("weights beside a graph join with it", async () => {
  const source = writeNetwork(join(folder, "model"), "net.onnx.data");
  fs.writeFileSync(`${source}.data`, data);
  await add(source);
  assert.deepEqual(fs.readdirSync(join(hub, "net")).sort(), ["net.onnx", "net.onnx.data"]);
  assert.deepEqual(verifyHub(openHub(hub)), [{ name: "net", problems: [] }]);
});

test("weights that were not copied along are named, with their place", async () => {
  const source = writeNetwork(join(folder, "model"), "net.onnx.data");
  await refused(
    source,
    /net\.onnx keeps weights in the file "net\.onnx\.data", which is missing: put it into .*model$/,
  );
});

test("weights that are a link to another file, or lie behind one, are not taken into the hub", async () => {
  fs.writeFileSync(join(folder, "secret"), data);
  const source = writeNetwork(join(folder, "model"), "net.onnx.data");
  fs.symlinkSync(join("..", "secret"), `${source}.data`);
  await refused(source, /"net\.onnx\.data", which is a link or lies behind one: put a copy in its place/);
  const deeper = writeNetwork(join(folder, "model"), "sub/secret");
  fs.symlinkSync("..", join(folder, "model", "sub"));
  await refused(deeper, /"sub\/secret", which is a link/);
  fs.rmSync(`${source}.data`);
  fs.mkdirSync(`${source}.data`);
  await refused(writeNetwork(join(folder, "model"), "net.onnx.data"), /data is not a file but a folder/);
});

test("the links of Hugging Face's cache lead to its own blobs, and nowhere else", async () => {
  const repository = join(folder, "models--owner--net");
  const source = writeNetwork(join(repository, "snapshots", "abc"), "net.onnx.data");
  fs.mkdirSync(join(repository, "blobs"));
  fs.writeFileSync(join(repository, "blobs", "123"), data);
  fs.symlinkSync(join("..", "..", "blobs", "123"), `${source}.data`);
  await add(source);
  assert.ok(fs.lstatSync(join(hub, "net", "net.onnx.data")).isFile());
  fs.rmSync(hub, { recursive: true });
  fs.renameSync(join(repository, "blobs"), join(folder, "elsewhere"));
  fs.symlinkSync(join(folder, "elsewhere"), join(repository, "blobs"));
  await refused(source, /which is a link/);
});

test("what is wrong with a graph is said of the user's file", async () => {
  const nodes = [conv, { op: "NoSuchOperator", inputs: ["c"], outputs: ["x"] }, { op: "Conv", inputs: ["x", "v"] }];
  const kernels = [floats("w", [8, 3, 1, 1], values), floats("v", [1, 8, 1, 1], values.slice(0, 8))];
  const made = model({ nodes, initializers: kernels });
  const source = join(folder, "my net.onnx");
  fs.writeFileSync(source, toBinary(ModelProtoSchema, made));
  await refused(source, new RegExp(`${folder}/my net\\.onnx`), /NoSuchOperator/);
});

test("a graph that is replaced after it was hashed does not join", async () => {
  const source = writeNetwork(join(folder, "model"), "net.onnx.data");
  fs.writeFileSync(`${source}.data`, data);
  const wishes = {
    input: { size: 16, mean: [0, 0, 0], std: [1, 1, 1] },
    // Read before the file is copied.
    get architecture(): undefined {
      writeNetwork(join(folder, "model"), "./net.onnx.data");
      return undefined;
    },
  };
  await assert.rejects(
    addMember({ hub, name: "net", source, wishes }),
    (error: unknown) => error instanceof UserError && /net\.onnx changed while it was read/.test(error.message),
  );
  assert.ok(!fs.existsSync(hub));
});
