/** hub presets and hub create as a user runs them, with a server on this machine in the Hub's place. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { writeSafetensors } from "../../src/io/index.ts";
import { createBackbone, proposeArchitecture } from "../../src/models/index.ts";
import { Generator, scope, zeros } from "../../src/torch/index.ts";
import { FileServer, serveRepository } from "../support/file-server.ts";
import { lastLine, runHere } from "../support/program.ts";
import { temporaryFolder } from "../support/small-hub.ts";

const folder = temporaryFolder();
const name = "tf_efficientnet_b0.ns_jft_in1k";
const other = "convnext_nano.in12k_ft_in1k";
let server: FileServer;

before(async () => {
  server = await FileServer.start();
  const config = JSON.stringify({ architecture: name.split(".")[0] });
  serveRepository(server, `timm/${name}`, { "model.safetensors": fullSize(name), "config.json": config });
});

after(() => server.stop());

/** The published file's names and shapes, with new weights. */
function fullSize(name: string): Buffer {
  const fixture = readFileSync(new URL("../fixtures/preset-networks.json.gz", import.meta.url));
  const { state } = JSON.parse(gunzipSync(fixture).toString())[name] as { state: Record<string, number[]> };
  const proposal = proposeArchitecture(new Map(Object.entries(state)), { name });
  assert.ok(proposal);
  using generator = new Generator(1);
  using backbone = createBackbone(proposal.architecture, proposal.config, { generator });
  const path = join(folder, "model.safetensors");
  scope(() => {
    const own = backbone.stateDict();
    const whole = Object.entries(state).map(([key, shape]) => [key, own.get(key) ?? zeros(shape)] as const);
    writeSafetensors(path, new Map(whole));
  });
  return readFileSync(path);
}

const env = () => ({ HF_ENDPOINT: server.origin, HF_HOME: join(folder, "hf") });
const run = (...args: string[]) => runHere(["hub", ...args], join(folder, "cache"), { cwd: folder, env: env() });

test("hub presets shows networks with sizes and licences, and asks nobody", async () => {
  const all = await run("presets");
  assert.equal(all.code, 0, all.stderr);
  for (const line of [/^paper: the five ResNet-50 .*MB\)$/m, /^moco +about [\d.]+ MB .* CC-BY-NC-4\.0 \*$/m]) {
    assert.match(all.stdout, line);
  }
  assert.match(all.stdout, /\* forbids commercial use: taken with --accept-licence only/);
  const one = await run("presets", "photos-small");
  assert.match(
    one.stdout,
    new RegExp(`^${name} +about [\\d.]+ MB +4\\.01 M +769 M +224 px +Apache-2\\.0 +mobile-blocks`, "m"),
  );
  assert.match(one.stdout, /regnet_y_800mf-58fc7688\.pth \(sha256 58fc7688\)\n +also hf:timm/);
  const { presets } = lastLine((await run("presets", "--json")).stdout) as { presets: { members: object[] }[] };
  assert.ok(presets.length >= 5 && presets.every(({ members }) => members.length >= 5));
  assert.deepEqual(server.asked, []);
});

test("a network of full size joins the hub, one that is gone is named with the command that goes on", async () => {
  const create = ["create", "my hub", "--preset", "photos-small", "--only", `${other},${name}`];
  const { code, stdout, stderr } = await run(...create);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /my hub gets 2 networks, about 8\d\.\d MB to fetch/);
  assert.match(stderr, new RegExp(`${other} is left out: hf:timm/${other}.*`));
  assert.match(
    stdout,
    new RegExp(`^added ${name} to my hub: mobile-blocks, 4\\.01 M parameters, 769 MFLOPs at 224 px`, "m"),
  );
  const [, command = ""] = /missing in my hub: convnext_\S+ Go on with: (.*)\n$/.exec(stderr) ?? [];
  assert.match(command, / hub create 'my hub' --preset photos-small --only \S+$/);
  const manifest = JSON.parse(readFileSync(join(folder, "my hub", "hub.json"), "utf8"));
  assert.equal(manifest.members[0].config.padding, "same");
  server.asked.length = 0;
  const again = await run(...create, "--json");
  assert.equal(again.code, 1);
  const { present, missing, resume } = lastLine(again.stdout) as { present: object; missing: object[]; resume: string };
  assert.deepEqual([present, missing.length, resume], [[{ name }], 1, command]);
  assert.ok(
    server.asked.every(({ path }) => path.includes(other)),
    "what is there is not asked for",
  );
  const done = await run(...create.with(-1, name));
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /^my hub has 1 network: .* hub show 'my hub'$/m);
});

test("a file of full size that breaks off goes on where it ended, and a ViT of 518 px is made for the preset's 224", async () => {
  const large = "vit_small_patch14_dinov2.lvd142m";
  const { files, commit } = serveRepository(server, `timm/${large}`, { "model.safetensors": fullSize(large) });
  const served = files.get("model.safetensors") ?? assert.fail();
  served.cuts = [30_000_000, 20_000_000];
  served.stored = () => {
    const partial = readdirSync(join(folder, "hf"), { recursive: true, encoding: "utf8" }).find((file) =>
      file.endsWith(".incomplete"),
    );
    return partial === undefined ? 0 : statSync(join(folder, "hf", partial)).size;
  };
  server.asked.length = 0;
  const { code, stdout, stderr } = await run("create", "views", "--preset", "self-supervised", "--only", large);
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`^added ${large} to views: vit, 21\\.6 M parameters, 12\\.2 GFLOPs at 224 px`, "m"));
  const ranges = server
    .requests(`/timm/${large}/resolve/${commit}/model.safetensors`)
    .map(({ headers }) => headers.range);
  assert.deepEqual(
    ranges
      .map((range) => /^bytes=(\d+)-$/.exec(range ?? "")?.[1])
      .filter(Boolean)
      .map(Number),
    [30e6, 50e6],
  );
  const { members } = JSON.parse(readFileSync(join(folder, "views", "hub.json"), "utf8"));
  assert.deepEqual([members[0].config.image, members[0].input.size], [224, 224]);
});

test("wrong options are refused in one line and leave nothing", async () => {
  for (const [args, pattern] of [
    [["--preset", "photo"], /no preset "photo": is photos or .* meant\?/],
    [["--preset", "photos-small", "--only", "tf_efficientnet_b0"], new RegExp(`is ${name} meant\\?`)],
    [["--preset", "photos-small", "--budget", "1MB"], /no member of photos-small fits into 1\.0 MB/],
    [["--preset", "photos-small", "--budget", "much"], /'--budget <bytes>' argument 'much' is invalid/],
    [["--preset", "photos-small", "--only", "a,,b"], /not names with commas between/],
    [["--preset", "paper"], /licence of moco \(CC-BY-NC-4\.0\) forbids commercial use/],
    [[], /required option '--preset <name>'/],
  ] as const) {
    const { code, stderr } = await run("create", "other", ...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, pattern);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
  assert.ok(!existsSync(join(folder, "other")));
});
