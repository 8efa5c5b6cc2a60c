/** Values are taken from bundles without running them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { exportedValue } from "../../../hubs/make/javascript-hub/bundles.ts";
import { UserError } from "../../../src/torch/index.ts";

const folder = mkdtempSync(join(tmpdir(), "bundles-"));
after(() => rmSync(folder, { recursive: true }));

/** As browserify wraps a module. */
function bundle(body: string): string {
  const path = join(folder, "bundle.min.js");
  const wrapped = `!function(e){module.exports=e()}(function(){return{1:[function(t,e,n){${body}},{}]}});`;
  writeFileSync(path, wrapped);
  return path;
}

test("plain values are read as minifiers write them", () => {
  const path = bundle(`e.exports={a:[.5,-.25,1e-3,!0,!1,null],"b c":{},d:'it\\'s',3:"\\u00e9"}`);
  assert.deepEqual(exportedValue(path), {
    a: [0.5, -0.25, 0.001, true, false, null],
    "b c": {},
    d: "it's",
    3: "é",
  });
  assert.equal(exportedValue(bundle('e.exports="QUJD"')), "QUJD");
});

test("what a bundle computes is refused, and never run", () => {
  const { prototype } = Object;
  for (const value of [
    "{a:process.exit(7)}",
    "{a:b}",
    "{...x}",
    "{get a(){return 1}}",
    "{[a]:1}",
    "[1,,2]",
    "{a:`$" + "{b}`}",
  ]) {
    assert.throws(
      () => exportedValue(bundle(`e.exports={v:${value}}`)),
      (error) => error instanceof UserError && error.message.includes("computes what it exports"),
      value,
    );
  }
  assert.throws(() => exportedValue(bundle("e.exports=f()")), /exports no plain value/);
  const value = exportedValue(bundle('e.exports={v:{"__proto__":{polluted:1}}}'));
  assert.equal(({} as { polluted?: number }).polluted, undefined);
  assert.equal(Object.getPrototypeOf((value as { v: object }).v), prototype);
});
