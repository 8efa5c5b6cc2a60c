import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { resolve } from "../../../src/torch/call.ts";
import { call, setCallHook, type Tensor, tensor } from "../../../src/torch/index.ts";
import { operators } from "../../../src/torch/ops.generated.ts";

test("every listed operator resolves in the loaded library", () => {
  const list = JSON.parse(readFileSync(new URL("../../../src/torch/ops.list.json", import.meta.url), "utf8")) as Record<
    string,
    string
  >;
  const names = Object.keys(list);
  assert.ok(names.length > 150);
  for (const name of names) {
    const op = operators[name as keyof typeof operators];
    assert.equal(op.name, list[name]);
    assert.ok(resolve(op).schema.startsWith(op.name));
  }
});

test("any operator can be called by name, with arguments by name after the positional ones", () => {
  const sum = call("aten::add.Tensor", [tensor([1]), tensor([2])], { alpha: 3 }) as Tensor;
  assert.deepEqual(sum.toArray(), [7]);
  const [values, indices] = call("aten::topk", [tensor([1, 5, 3])], { k: 1, largest: false }) as [Tensor, Tensor];
  assert.deepEqual([values.toArray(), indices.toArray()], [[1], [0]]);
  assert.throws(() => call("aten::add.Tensor", [tensor([1])], { alhpa: 3 }), /no argument "alhpa"/);
  assert.throws(() => call("aten::add.Tensor", [tensor([1])]), /"other" is missing/);
  assert.throws(() => call("aten::no_such_operator", []), /no such operator/);
  assert.throws(() => call("aten::add.Tensor", [tensor([1]), "2"]), /"other": expected a Tensor/);
});

test("one hook sees every call", () => {
  const seen: string[] = [];
  const before = setCallHook((name) => seen.push(name));
  try {
    tensor([1]).add(1).relu();
  } finally {
    setCallHook(before);
  }
  assert.deepEqual(seen, ["aten::add.Tensor", "aten::relu"]);
});

test("unsafe integers are refused instead of rounded", () => {
  const big = tensor(new BigInt64Array([2n ** 60n]));
  assert.throws(() => big.item(), /not safe/);
});
