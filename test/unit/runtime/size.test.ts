/** What browsers load is small: without comments and types, and so in any case minified. The page's sources are short to read. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const sources = (name: string): string => fileURLToPath(new URL(`../../../src/${name}`, import.meta.url));
const folder = sources("runtime");

test("the runtime has less than 44 kB", () => {
  // Names and line breaks stay in, so that this is an upper bound of what any minifier makes of it.
  const options = { removeComments: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const sizes = readdirSync(folder)
    .filter((name) => name.endsWith(".ts") && name !== "node.ts")
    .map((name) => {
      const text = readFileSync(join(folder, name), "utf8");
      const { outputText } = ts.transpileModule(text, { compilerOptions: { ...options, verbatimModuleSyntax: true } });
      return Buffer.byteLength(outputText.replaceAll(/^ +/gm, ""));
    });
  const total = sizes.reduce((a, b) => a + b, 0);
  assert.ok(total > 10_000 && total < 44_000, `${total} bytes`);
});

test("the page has less than 320 lines of TypeScript", () => {
  const files = readdirSync(sources("site")).filter((name) => name.endsWith(".ts"));
  const lines = files.map(
    (name) =>
      readFileSync(join(sources("site"), name), "utf8")
        .trimEnd()
        .split("\n").length,
  );
  const total = lines.reduce((a, b) => a + b, 0);
  assert.ok(total > 100 && total < 320, `${total} lines`);
});
