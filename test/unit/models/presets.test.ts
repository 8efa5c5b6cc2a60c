/** Every preset with torchvision's names against torchvision's network of that name (make-architectures.py). */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { architectures, createBackbone, type PresetInput, presets } from "../../../src/models/index.ts";
import { BatchNorm2d, init } from "../../../src/nn/index.ts";
import { Generator, type Tensor } from "../../../src/torch/index.ts";
import { fixture } from "../../fixtures/seeded-weights.ts";

interface Outline {
  classifier: string;
  featureWidth: number;
  parameters: number;
  keys: number;
  digest: string;
  norms: [eps: number, momentum: number][];
  input: PresetInput;
}

const outlines = fixture<Record<string, Outline>>("presets.json");

function digest(state: ReadonlyMap<string, Tensor>): string {
  const lines = Array.from(state, ([name, tensor]) => `${name}:${tensor.shape.join(",")}`).sort();
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

const own = Object.entries(presets()).filter(([, preset]) => preset.library === "torchvision");

test("torchvision's presets have its names, shapes, BatchNorm settings, classifiers and default inputs", () => {
  using generator = new Generator(1);
  for (const [name, { architecture, config, classifier, input }] of own) {
    using backbone = init.skipInit(() => createBackbone(architecture, config, { generator, device: "meta" }));
    const state = backbone.stateDict();
    const settings = new Map<string, [number, number]>();
    for (const part of backbone.modules()) {
      if (part instanceof BatchNorm2d) settings.set(`${part.eps} ${part.momentum}`, [part.eps, part.momentum]);
    }
    const outline: Outline = {
      classifier,
      featureWidth: backbone.featureWidth,
      parameters: backbone.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0),
      keys: state.size,
      digest: digest(state),
      norms: [...settings.values()],
      input,
    };
    assert.deepEqual({ name, ...outline }, { name, ...outlines[name] });
  }
});

test("all published members of these families are presets", () => {
  const names = new Set(own.map(([name]) => name));
  assert.deepEqual(
    Object.keys(outlines).filter((name) => !names.has(name)),
    [],
  );
});

test("the table in docs/hubs.md has a row for each architecture, and names presets alone", () => {
  const text = readFileSync(new URL("../../../docs/hubs.md", import.meta.url), "utf8");
  const section = text.split(/^## /m).find((one) => one.includes("| architecture |")) ?? "";
  const rows = [...section.matchAll(/^\| `([\w-]+)` \| ([^|]+) \|/gm)];
  assert.deepEqual(
    rows.map(([, name]) => name),
    architectures().map(({ name }) => name),
  );
  for (const [, name, published = ""] of rows) {
    // Names after a semicolon, and timm's names of "mobile-blocks", are no presets.
    const [own = ""] = published.split(";");
    const named = name === "mobile-blocks" ? [] : [...own.matchAll(/`(\w+)`/g)];
    for (const [, preset = ""] of named) assert.equal(presets()[preset]?.architecture, name, preset);
  }
});
