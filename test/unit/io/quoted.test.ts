/** Foreign text in messages cannot steer a terminal, break a line or fill a screen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { listed, printable, printableLines, quoted, reasonOf, shown } from "../../../src/io/quoted.ts";
import { markdownTable, textTable } from "../../../src/report/table.ts";

/** Characters that a terminal acts on or hides, the joiners of scripts and emoji left out. */
const acting = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

test("nothing that a terminal acts on is left, and what is printable stays as it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
      for (const made of [shown(text), quoted(text), printable(text), reasonOf(text)])
        assert.doesNotMatch(made, acting);
      assert.ok(printableLines(text).split("\n").length === text.split("\n").length);
    }),
  );
  for (const text of ["Käse, größer", "猫", "👩‍🚀", "a b_c-d.png", "می‌خواهم"]) assert.equal(shown(text), text);
  assert.equal(shown("esc\u001b[2J\u202egnp.exe\nline"), "esc\\u{1b}[2J\\u{202e}gnp.exe\\u{a}line");
});

test("long names are cut", () => {
  assert.equal(shown("x".repeat(5000)).length, 201);
  assert.equal(quoted("x".repeat(5000)).length, 203);
});

test("values are shown as JSON, and lists of names by their first", () => {
  assert.equal(quoted({ a: [1, "b"] }), '{"a":[1,"b"]}');
  assert.equal(quoted(undefined), "undefined");
  assert.equal(listed(["a", "b"]), '"a", "b"');
  assert.equal(listed(["a", "b", "c"], 2, shown), "a, b and 1 more");
  assert.ok(listed(["x".repeat(5000)]).length < 100);
});

test("tables hold foreign names in their cells", () => {
  const columns = [{ title: "name", value: (name: string) => name }];
  assert.equal(textTable(["a\nb\u001b[1m"], columns).split("\n")[2], "a\\u{a}b\\u{1b}[1m");
  assert.equal(markdownTable(["a|b\n<b>x\\"], columns).split("\n")[2], "| a\\|b &lt;b>x\\\\ |");
});
