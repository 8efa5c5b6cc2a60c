/** Names that become part of a path stay one part of it, whatever they are made from. */
import assert from "node:assert/strict";
import { basename, join, normalize, win32 } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { isSafeName, proposeName } from "../../../src/io/index.ts";

const texts = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: fc.constantFrom(..."aB9._-/\\: \n\0é%~$&<".split("")), maxLength: 140 }),
);

test("a safe name is one part of a path, on every system", () => {
  fc.assert(
    fc.property(texts, (text) => {
      fc.pre(isSafeName(text));
      assert.equal(normalize(join("/hub", text)), `/hub/${text}`);
      assert.equal(basename(text), text);
      assert.equal(win32.normalize(win32.join("C:\\hub", text)), `C:\\hub\\${text}`);
      assert.match(text, /^[a-zA-Z0-9][\w.-]*$/);
    }),
  );
});

test("what a text is turned into is a safe name, and a safe name that ends in no punctuation stays as it is", () => {
  fc.assert(
    fc.property(texts, (text) => {
      const name = proposeName(text);
      assert.ok(isSafeName(name), name);
      assert.equal(proposeName(name), name);
    }),
  );
  assert.equal(proposeName("my net (1).onnx"), "my-net-1.onnx");
  assert.equal(proposeName("Modèle Été"), "Modele-Ete");
  assert.equal(proposeName("../../escaped"), "escaped");
  assert.equal(proposeName("..."), "unnamed");
  assert.equal(proposeName("con"), "x-con");
});

test("names that lead elsewhere, hide, or are reserved are refused", () => {
  const refused = ["", ".", "..", ".hidden", "a/b", "a\\b", "C:", "a\nb", "-rf", "nul", "COM1.txt", "hub.json", "a."];
  for (const name of [...refused, "x".repeat(101)]) assert.ok(!isSafeName(name), name);
  for (const name of ["a", "resnet-18", "v1.2_b", "console", "x".repeat(100)]) assert.ok(isSafeName(name), name);
});
