/**
 * `npm run bench [-- --json] [--quick] [--only NAME] [--python PATH] [--device cuda] [--hub DIR] [--tfjs DIR]`: every figure with
 * its two sides, taken in turn in one run. PyTorch's side needs a Python with torch, TensorFlow.js a folder that has it; without
 * them those figures are left out and named.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { textTable } from "../src/report/index.ts";
import { findDevice, getNumThreads, loadedLibrary, ownProcess } from "../src/torch/index.ts";
import { whyNoHosts } from "../test/support/hosts.ts";
import { noBrowser } from "../test/support/site.ts";
import { bundlePrecision } from "./bundle-precision.ts";
import { cacheParts } from "./cache.ts";
import { callOverhead } from "./call-overhead.ts";
import { coldStarts } from "./cold-start.ts";
import { dataSize } from "./data-size.ts";
import type { Figure } from "./figure.ts";
import { folding } from "./folding.ts";
import { inference } from "./inference.ts";
import { largeHub } from "./large-hub.ts";
import { loaderEpoch } from "./loader-epoch.ts";
import { pageAgreement } from "./page-agreement.ts";
import { pathwayStep } from "./pathway-step.ts";
import { resnetStep } from "./resnet-step.ts";
import { rlEnvironments } from "./rl-environments.ts";
import { rlPpo } from "./rl-ppo.ts";
import { serveRequests } from "./serve.ts";
import { serveMemory } from "./serve-memory.ts";
import { sharedBytes, sharedMemory } from "./shards.ts";
import { stepMemory } from "./step-memory.ts";
import { tfjsSteps } from "./tfjs-step.ts";
import { underLoad } from "./under-load.ts";

const { values: flags } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    python: { type: "string", default: "python3" },
    device: { type: "string", default: "cpu" },
    hub: { type: "string", default: "hubs/starter" },
    tfjs: { type: "string" },
  },
});

ownProcess();
const device = findDevice(flags.device);
const rounds = flags.quick ? 3 : 9;
const parts: Record<string, () => Promise<Figure[] | undefined>> = {
  call: async () => [callOverhead()],
  resnet: () => resnetStep(flags.python, flags.quick, device),
  inference: () => inference(flags.python, flags.quick ? 3 : 7),
  cache: () => cacheParts(flags.quick ? 1 : 3),
  folding: () => folding(flags.quick ? 3 : 7, flags.hub),
  pathway: () => pathwayStep(rounds, flags.quick ? 100 : 1000, device),
  tfjs: () => tfjsSteps(flags.quick ? 3 : 9, flags.tfjs),
  "step-memory": async () => stepMemory(flags.quick ? 2 : 5),
  "large-hub": () => largeHub(flags.quick ? 3 : 5),
  environments: async () => rlEnvironments(rounds, flags.quick ? 1000 : 4000),
  rl: () => rlPpo(flags.python, flags.quick ? 3 : 7),
  loader: () => loaderEpoch(flags.quick ? 3 : 7),
  "data-size": () => dataSize(flags.quick ? 0.01 : 1),
  serve: () => serveRequests(flags.quick ? 1 : 3, flags.quick ? 2 : 5),
  "serve-memory": () => serveMemory(flags.quick ? 10_000 : 100_000),
  "serve-cold": () => coldStarts(flags.quick ? 1 : 3),
  "bundle-precision": () => bundlePrecision(flags.hub, flags.quick ? 20 : 200),
  page: () => pageAgreement(flags.quick ? 60 : 500),
  "shard-bytes": async () => (whyNoHosts() === undefined ? sharedBytes(flags.quick ? 2 : 3) : undefined),
  "shard-memory": async () => (whyNoHosts() === undefined ? sharedMemory(flags.quick ? 12 : 24) : undefined),
  "under-load": () => underLoad(flags.quick ? 1 : 3),
};

/** What parts need that is not there, other than Python. */
const missing: Record<string, () => string | undefined> = {
  page: () => noBrowser,
  tfjs: () => "name a folder in which you ran `npm install @tensorflow/tfjs @tensorflow/tfjs-backend-wasm` with --tfjs",
  "shard-bytes": whyNoHosts,
  "shard-memory": whyNoHosts,
};

const figures: Figure[] = [];
const leftOut: string[] = [];
for (const [name, part] of Object.entries(parts)) {
  if (!name.includes(flags.only)) continue;
  console.error(`measuring ${name} …`);
  const measured = await part();
  if (measured) figures.push(...measured);
  else leftOut.push(`${name}: ${missing[name]?.() ?? `${flags.python} has no torch; name one that has with --python`}`);
}

const shown = (side: Figure["ours"]) => `${Number(side.value.toPrecision(4))} ${side.what}`;
const table = textTable(figures, [
  { title: "figure", value: (figure) => figure.name },
  { title: "ours", value: (figure) => shown(figure.ours) },
  { title: "other side", value: (figure) => shown(figure.other) },
  { title: "ratio", value: (figure) => figure.ratio.toFixed(3), right: true },
  { title: "goal", value: (figure) => figure.goal },
  { title: "met", value: (figure) => (figure.goal === "reported" ? "" : figure.met ? "yes" : "NO") },
]);
(flags.json ? console.error : console.log)(table);
for (const line of leftOut) console.error(`left out: ${line}`);
if (flags.json) {
  const machine = {
    processor: cpus()[0]?.model,
    cores: cpus().length,
    threads: getNumThreads(),
    libtorch: loadedLibrary().headers,
    node: process.version,
  };
  console.log(JSON.stringify({ machine, figures, leftOut }));
}
