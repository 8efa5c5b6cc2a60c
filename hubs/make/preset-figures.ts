/**
 * Fills the figures of hubs/presets/networks.json: parameters, FLOPs by this project's counter and, where no size is
 * published, bytes. Run by a developer after a change there: `npm run preset-figures`; takes minutes and 2 GB of memory.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { type PresetMember, presetNames, readPreset } from "../../src/hub/index.ts";
import { writeFileAtomic } from "../../src/io/index.ts";
import { createBackbone, proposeArchitecture, resizedTo } from "../../src/models/index.ts";
import { init } from "../../src/nn/index.ts";
import { Generator, UserError } from "../../src/torch/index.ts";

type Shapes = Readonly<Record<string, readonly number[]>>;

/** Names and shapes of each network's file: test/fixtures/make-preset-networks.py. */
function outlines(): Readonly<Record<string, { name?: string; state: Shapes }>> {
  const path = new URL("../../test/fixtures/preset-networks.json.gz", import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(path)).toString());
}

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function figuresOf({ network, config, input, about }: PresetMember, state: Shapes, name?: string) {
  const proposal = proposeArchitecture(new Map(Object.entries(state)), { name, config });
  if (!proposal) throw new UserError(`${network}: no architecture here fits its file`);
  using generator = new Generator(0);
  const resized = resizedTo(proposal, Object.keys(state), input.size)?.config ?? proposal.config;
  using backbone = init.skipInit(() => createBackbone(proposal.architecture, resized, { generator }));
  return {
    ...(about ? { bytes: 4 * sum(Object.values(state).map(elements)) } : {}),
    parameters: sum(backbone.parameters().map(({ shape }) => elements(shape))),
    flops: backbone.flops(input.size),
  };
}

const path = fileURLToPath(new URL("../presets/networks.json", import.meta.url));
let text = readFileSync(path, "utf8");
const known = outlines();
const members = new Map(presetNames().flatMap((name) => readPreset(name).members.map((one) => [one.network, one])));
const unused = Object.keys(JSON.parse(text)).filter((name) => !members.has(name));
if (unused.length > 0) throw new UserError(`no preset has ${unused.join(", ")}`);
for (const [network, member] of members) {
  const { name, state } = known[network] ?? { state: {} };
  const figures = figuresOf(member, state, name);
  console.error(network, JSON.stringify(figures));
  const start = text.indexOf(`  ${JSON.stringify(network)}: {\n`);
  const end = text.indexOf("\n  }", start);
  let block = text.slice(start, end);
  for (const [key, value] of Object.entries(figures)) block = block.replace(RegExp(`("${key}": )\\d+`), `$1${value}`);
  text = text.slice(0, start) + block + text.slice(end);
}
writeFileAtomic(path, text);
