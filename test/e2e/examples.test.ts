/** Every file of examples/ runs as a newcomer runs it, on small images and a small hub. The demo has a command of its own. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writeOnnx } from "../support/documented-commands.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";
import { typescript } from "../support/typescript.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = temporaryFolder();
const inFolder = (name: string): string => join(folder, name);
const photos = (): string => inFolder("images");
const ran = new Set<string>();

before(async () => {
  await writeShapeImages(folder, 8);
  writeSmallHub(folder);
  writeOnnx(inFolder("net.onnx"));
});

function start(name: string, ...args: string[]): ChildProcess {
  ran.add(name);
  const env = { ...process.env, HUB_PATHWAY_CACHE: inFolder("cache") };
  const command = [...typescript, `examples/${name}.ts`, ...args];
  return spawn(process.execPath, command, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
}

/** Output of an example, which must exit with code 0. */
async function run(name: string, ...args: string[]): Promise<string> {
  const child = start(name, ...args);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (said += String(chunk)));
  const [code] = await once(child, "close");
  assert.equal(code, 0, said);
  return said;
}

test("train on a folder, then predict from a buffer", async () => {
  const said = await run("train-on-a-folder", photos(), inFolder("hub"), inFolder("run"));
  assert.match(said, /epoch \d+: loss .*\n(.*\n)*.*first image: (circle|square|stripe), \d+ %, by \S+ and \S+/);
  const server = start("predict-from-a-buffer", inFolder("run"), "0");
  try {
    const [line] = (await once(server.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const [, address] = /(http:\/\/localhost:\d+)/.exec(line.toString()) ?? [];
    assert.ok(address, line.toString());
    const post = (body: string | Uint8Array<ArrayBuffer>) =>
      fetch(address, { method: "POST", body, headers: { connection: "close" } });
    const answer = await post(new Uint8Array(readFileSync(join(photos(), "circle/1.png"))));
    assert.equal(((await answer.json()) as { top: unknown[] }).top.length, 3);
    const refused = await post("no image");
    assert.equal(refused.status, 400);
    assert.match(((await refused.json()) as { error: string }).error, /image/);
  } finally {
    server.kill("SIGTERM");
    await once(server, "close");
  }
});

test("two own modules: the generator learns whom to ask", async () => {
  const said = await run("pathway-of-own-modules", "300");
  const [, accuracy] = /accuracy (\S+) %/.exec(said) ?? [];
  assert.ok(Number(accuracy) > 90, said);
  const [, bright, dark] = /runs on (\d+) % of bright images and on (\d+) % of dark/.exec(said) ?? [];
  assert.ok(Number(bright) > 80 && Number(dark) < 20, said);
});

test("a new method trains, and its run predicts", async () => {
  const said = await run("new-method", photos(), inFolder("hub"), inFolder("humble"));
  assert.match(said, /small-resnet: entropy \d\.\d+ nats/);
  assert.match(said, /humble: \S+ is best, accuracy/);
});

test("an ONNX model joins a hub and is fine-tuned", async () => {
  const said = await run("onnx-model", photos(), inFolder("net.onnx"), inFolder("onnx-hub"));
  assert.match(said, /net: 16 features[\s\S]*accuracy[\s\S]*labels images as circle, square, stripe/);
});

test("a hub of agents plays a third game", async () => {
  const said = await run("hub-of-agents", inFolder("agents"), "2048");
  assert.match(said, /asterix: mean return \S+ of 8 episodes; activated: breakout \d+ %, freeway \d+ %/);
});

test("no example is left out, and each is short", () => {
  const names = readdirSync(join(root, "examples")).map((file) => file.replace(/\.ts$/, ""));
  assert.deepEqual(new Set(names), new Set([...ran, "demo"]));
  for (const name of ran) {
    const lines = readFileSync(join(root, `examples/${name}.ts`), "utf8").split("\n").length - 1;
    assert.ok(lines >= 40 && lines <= 100, `${name}: ${lines} lines`);
  }
});
