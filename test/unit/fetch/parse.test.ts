import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseModel, nearest } from "../../../src/fetch/choose.ts";
import { type HubSource, parseSource } from "../../../src/fetch/index.ts";
import { safeRelativePath, shownUrl } from "../../../src/fetch/names.ts";
import { UserError } from "../../../src/torch/index.ts";

const refusal = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message);

const hub = (repo: string, revision = "main", path?: string) => ({ kind: "hub", repo, revision, path });

test("sources are read as repositories, addresses and local paths", () => {
  const cases: [string, object][] = [
    ["hf:timm/resnet18.a1_in1k", hub("timm/resnet18.a1_in1k")],
    ["HF:a/b@v1.0", hub("a/b", "v1.0")],
    ["hf:a/b/onnx/model.onnx", hub("a/b", "main", "onnx/model.onnx")],
    ["hf:a/b@dev/onnx/", hub("a/b", "dev", "onnx")],
    ["hf:a/b@refs/pr/3/x.pth", hub("a/b", "refs/pr/3", "x.pth")],
    ["hf:a/b@feature%2Fone/x.pth", hub("a/b", "feature/one", "x.pth")],
    ["hf:a/b/with@sign.pth", hub("a/b", "main", "with@sign.pth")],
    ["HTTPS://Example.com/a b.onnx?x=1#part", { kind: "url", url: "https://example.com/a%20b.onnx?x=1" }],
    ["http://localhost:80/m.pth", { kind: "url", url: "http://localhost/m.pth" }],
    ["models/resnet.pth", { kind: "local", path: "models/resnet.pth" }],
    ["/tmp/hf:x", { kind: "local", path: "/tmp/hf:x" }],
    ["C:\\models\\a.onnx", { kind: "local", path: "C:\\models\\a.onnx" }],
    ["hfx/y", { kind: "local", path: "hfx/y" }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseSource(text), expected, text);
});

test("malformed sources are refused with the form to write", () => {
  const repositories = [
    "hf:",
    "hf:a",
    "hf:a/",
    "hf:/b",
    "hf://a/b",
    "hf:../b",
    "hf:a/..",
    "hf:a--b/c",
    "hf:a/b.git",
    "hf:a/é",
  ];
  for (const text of repositories) assert.throws(() => parseSource(text), refusal(/write hf:owner\/name/), text);
  for (const text of ["hf:a/b@", "hf:a/b@..", "hf:a/b@%2e%2e%2fx", "hf:a/b@%zz", "hf:a/b@x%00", "hf:a/b@a%20b"]) {
    assert.throws(() => parseSource(text), refusal(/revision|names no repository/), text);
  }
  for (const path of ["../x", "x/../../y", "/etc/passwd", "a\\b", "c:/x", "a//b", "./x"]) {
    assert.throws(() => parseSource(`hf:a/b/${path}`), refusal(/not inside the repository/), path);
  }
  assert.throws(() => parseSource("http://"), refusal(/not a valid address/));
  assert.throws(() => parseSource("s3://bucket/x"), refusal(/not fetched by s3/));
  assert.throws(() => parseSource(""), refusal(/empty/));
});

test("a password in an address is refused and not repeated", () => {
  assert.throws(
    () => parseSource("https://me:secret@example.com/m.pth"),
    (error) => refusal(/example\.com/)(error) && !(error as Error).message.includes("secret"),
  );
  assert.equal(shownUrl("https://example.com/m.pth?signature=secret"), "https://example.com/m.pth?…");
});

test("names from elsewhere stay below their folder under both systems' rules", () => {
  for (const name of ["a", "a/b.c", ".hidden", "..a", "a..b/c", "ünï/x"]) assert.ok(safeRelativePath(name), name);
  const bad = [
    "",
    ".",
    "..",
    "a/..",
    "../a",
    "/a",
    "a/",
    "a//b",
    "a/./b",
    "\\a",
    "a\\..\\b",
    "c:",
    "C:x",
    "a/d:x",
    "a\0b",
    "a\nb",
  ];
  for (const name of [...bad, "x".repeat(256), "x/".repeat(600)]) assert.ok(!safeRelativePath(name), name);
});

const source = (path?: string): HubSource => ({ kind: "hub", repo: "a/b", revision: "main", path });

test("the model file of a repository is the preferred one that it has", () => {
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const all = [
    "model.safetensors",
    ...shards,
    "model.safetensors.index.json",
    "onnx/model.onnx",
    "onnx/model_fp16.onnx",
  ];
  const rest = ["pytorch_model.bin", "training_args.bin", "other.pth", "model.json", "config.json"];
  const chosen = (paths: string[], path?: string) => chooseModel(paths, source(path));
  assert.equal(chosen([...all, ...rest]), "model.safetensors");
  assert.equal(chosen([...all.slice(1), ...rest]), "model.safetensors.index.json");
  assert.equal(chosen(["timm.safetensors", "onnx/model.onnx"]), "timm.safetensors");
  assert.equal(chosen([...all.slice(4), ...rest]), "onnx/model.onnx");
  assert.equal(chosen(rest), "pytorch_model.bin");
  assert.equal(chosen(rest.slice(1, 3).concat("model.json")), "other.pth");
  assert.equal(chosen(["group1-shard1of1.bin", "model.json"]), "model.json");
  assert.equal(chosen(["sub/a.pth", "model.safetensors"], "sub"), "sub/a.pth");
  assert.equal(chosen([...all, ...rest], "other.pth"), "other.pth");
});

test("several models, none, or a wrong path are answered with what there is and how to name it", () => {
  const paths = ["a.safetensors", "b.safetensors", "config.json"];
  assert.throws(
    () => chooseModel(paths, source()),
    refusal(/several models: it has a\.safetensors, b\.safetensors; name one, as in hf:a\/b\/a\.safetensors/),
  );
  assert.throws(
    () => chooseModel(["README.md", "sub/x.onnx"], source()),
    refusal(/no model file here.*as in hf:a\/b\/sub\/x\.onnx/),
  );
  assert.throws(() => chooseModel(["README.md"], source()), refusal(/no model file here.*it has README\.md$/));
  assert.throws(() => chooseModel(paths, source("c.onnx")), refusal(/has no "c\.onnx"; it has a\.safetensors/));
  const many = Array.from({ length: 5000 }, (_, i) => `${i}.pth`);
  assert.throws(
    () => chooseModel(many, source()),
    (error) => refusal(/and 4988 more/)(error) && (error as Error).message.length < 600,
  );
});

test("the nearest configuration above a model belongs to it", () => {
  const paths = ["config.json", "a/config.json", "a/onnx/model.onnx", "b/model.onnx"];
  assert.equal(nearest(paths, "a/onnx/model.onnx", "config.json"), "a/config.json");
  assert.equal(nearest(paths, "b/model.onnx", "config.json"), "config.json");
  assert.equal(nearest(["b/config.json", "a/x.onnx"], "a/x.onnx", "config.json"), undefined);
});
