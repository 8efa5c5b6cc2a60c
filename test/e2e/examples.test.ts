/** Every file of examples/ runs as a newcomer runs it, on small images and a small hub. The demo has a command of its own. */
// Alone: it only waits for a process, beside which others can run.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { typescript } from "../support/typescript.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "hub-pathway-examples-"));

/** Names and arguments; the server comes last. */
const runs = [
  ["train-on-a-folder", "images", "hub", "run"],
  ["pathway-of-own-modules", "200"],
  ["new-method", "images", "hub", "humble"],
  ["onnx-model", "images", "net.onnx", "onnx-hub"],
  ["hub-of-agents", "agents", "1024"],
  ["predict-from-a-buffer", "run", "0"],
];

let child: ChildProcess;
let address: string;
/** What each of them wrote. */
const said = new Map<string, string>();

before(async () => {
  const driver = [...typescript, "test/support/examples-driver.ts", folder, JSON.stringify(runs)];
  const env = { ...process.env, HUB_PATHWAY_CACHE: join(folder, "cache") };
  child = spawn(process.execPath, driver, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (text += String(chunk)));
  const serving = new Promise<void>((resolve) => {
    child.stdout?.on("data", () => {
      [, address = ""] = /send an image to (http:\/\/localhost:\d+)\n/.exec(text) ?? [];
      if (address !== "") resolve();
    });
  });
  await Promise.race([serving, once(child, "close")]);
  assert.ok(address, text);
  for (const part of text.split("\n== ").slice(1)) {
    const end = part.indexOf("\n");
    said.set(part.slice(0, end), part.slice(end));
  }
});

after(() => {
  child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const saidBy = (name: string): string => said.get(name) ?? "";

test("train on a folder", () => {
  const pattern = /epoch \d+: loss .*\n(.*\n)*.*first image: (circle|square|stripe), \d+ %, by \S+ and \S+/;
  assert.match(saidBy("train-on-a-folder"), pattern);
});

test("two own modules: the generator learns whom to ask", () => {
  const text = saidBy("pathway-of-own-modules");
  const [, accuracy] = /accuracy (\S+) %/.exec(text) ?? [];
  assert.ok(Number(accuracy) > 90, text);
  const [, bright, dark] = /runs on (\d+) % of bright images and on (\d+) % of dark/.exec(text) ?? [];
  assert.ok(Number(bright) > 80 && Number(dark) < 20, text);
});

test("a new method trains, and its run predicts", () => {
  assert.match(saidBy("new-method"), /small-resnet: entropy \d\.\d+ nats/);
  assert.match(saidBy("new-method"), /humble: \S+ is best, accuracy/);
});

test("an ONNX model joins a hub and is fine-tuned", () => {
  assert.match(saidBy("onnx-model"), /net: 16 features[\s\S]*accuracy[\s\S]*labels images as circle, square, stripe/);
});

test("a hub of agents plays a third game", () => {
  const pattern = /asterix: mean return \S+ of 8 episodes; activated: breakout \d+ %, freeway \d+ %/;
  assert.match(saidBy("hub-of-agents"), pattern);
});

test("predict from a buffer; then nothing of any example keeps the process", async () => {
  const post = (body: string | Uint8Array<ArrayBuffer>) =>
    fetch(address, { method: "POST", body, headers: { connection: "close" } });
  const answer = await post(new Uint8Array(readFileSync(join(folder, "images/circle/1.png"))));
  assert.equal(((await answer.json()) as { top: unknown[] }).top.length, 3);
  const refused = await post("no image");
  assert.equal(refused.status, 400);
  assert.match(((await refused.json()) as { error: string }).error, /image/);
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "close"), [0, null]);
});

test("no example is left out, and each is short", () => {
  const names = readdirSync(join(root, "examples")).map((file) => file.replace(/\.ts$/, ""));
  assert.deepEqual(new Set(names), new Set([...said.keys(), "demo"]));
  for (const name of said.keys()) {
    const lines = readFileSync(join(root, `examples/${name}.ts`), "utf8").split("\n").length - 1;
    assert.ok(lines >= 40 && lines <= 100, `${name}: ${lines} lines`);
  }
});
