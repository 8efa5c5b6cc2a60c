/** hub-pathway serve as a user starts and ends it, and what it says about models and addresses that cannot be served. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openBundleParts } from "../../src/serve/engine/bundle-parts.ts";
import { openRunParts } from "../../src/serve/engine/run-parts.ts";
import type { PredictAnswer, ServeOptions } from "../../src/serve/index.ts";
import { UserError } from "../../src/torch/index.ts";
import { lastLine, runHere } from "../support/program.ts";
import { type ServedPlace, send, served, servedPlace } from "../support/served.ts";

const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));
let place: ServedPlace;

before(async () => {
  place = await servedPlace();
});

const run = (...args: string[]) => runHere(["serve", ...args], join(place.folder, "cache"));

/** One line, the right exit code, nothing on standard output. */
async function refused(args: string[], code: number, says: RegExp): Promise<void> {
  const outcome = await run(...args);
  assert.equal(outcome.code, code, outcome.stderr);
  const lines = outcome.stderr
    .trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith("{"));
  assert.equal(lines.length, 1, outcome.stderr);
  assert.match(lines[0] ?? "", says);
  assert.doesNotMatch(outcome.stdout, /listening/);
}

/** A copy of a run or bundle that is changed. */
function changed(name: string, from: string, change: (copy: string) => void): string {
  const copy = join(place.folder, name);
  cpSync(from, copy, { recursive: true });
  change(copy);
  return copy;
}

test("it says what it serves and where, answers, and SIGTERM ends it with exit code 0", async () => {
  const child = spawn(process.execPath, [program, "serve", place.routed, "--port", "0", "--threads", "1", "--json"], {
    env: { ...process.env, OMP_NUM_THREADS: "1", HUB_PATHWAY_TOKEN: "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = text(child.stderr);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { url, models } = lastLine(String(line)) as { url: string; models: { name: string }[] };
  assert.deepEqual(
    models.map(({ name }) => name),
    ["routed"],
  );
  const answer = await send({ url } as Parameters<typeof send>[0], place.photo, "?top=3");
  assert.equal(((await answer.json()) as PredictAnswer).predictions.length, 1);
  child.kill("SIGTERM");
  const [code] = await once(child, "close");
  assert.equal(code, 0, await said);
  assert.match(await said, /no new requests; those that are open are answered/);
});

test("--check loads and tests the models, says what would be served, and ends", async () => {
  const { code, stdout, stderr } = await run(place.routed, place.bundle, "--check", "--threads", "1");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^routed: 3 classes, 2 of 3 models for each image, from .*routed$/m);
  assert.match(stdout, /^bundle: 3 classes/m);
});

test("models that cannot be served", async () => {
  const unfinished = join(place.folder, "unfinished");
  mkdirSync(unfinished);
  cpSync(join(place.routed, "run.json"), join(unfinished, "run.json"));
  const lost = changed("lost", place.routed, (copy) => {
    const weights = readdirSync(join(copy, "model")).find((name) => /^small-.*\.safetensors$/.test(name)) ?? "";
    rmSync(join(copy, "model", weights));
  });
  const lostPart = changed("lost-part", place.bundle, (copy) => rmSync(join(copy, "members"), { recursive: true }));
  const damaged = changed("damaged", place.bundle, (copy) => writeFileSync(join(copy, "router.onnx"), "another"));
  const newer = changed("newer", place.bundle, (copy) => writeFileSync(join(copy, "bundle.json"), '{"version":99}'));
  // An engine says what it found when it opened the model; that takes a process, which some of them do without.
  for (const [path, says] of [
    [lostPart, /members\/.*\.onnx is missing: restore it, or export the run again/],
    [damaged, /router\.onnx is damaged or was replaced/],
    [newer, /has version 99, and this program reads 1 to \d+: export the run again/],
  ] as const) {
    await assert.rejects(
      openBundleParts(path),
      (error) => error instanceof UserError && error.exitCode === 1 && says.test(error.message),
    );
  }
  await assert.rejects(
    async () => openRunParts(join(place.folder, "none")),
    (error) => error instanceof UserError && /none holds no run/.test(error.message),
  );
  const cases: [path: string, code: number, says: RegExp, options?: Partial<ServeOptions>][] = [
    [lost, 1, /small-.*\.safetensors/],
    [place.bundle, 1, /is a bundle, whose k is its own/, { k: 1 }],
    [place.routed, 2, /k is 9: it must be a whole number from 1 to/, { k: 9 }],
  ];
  const outcomes = cases.map(([path, code, says, options]) =>
    assert.rejects(served(path, options), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.equal(error.exitCode, code, error.message);
      assert.match(error.message, says);
      return true;
    }),
  );
  await Promise.all(outcomes);
  await refused([unfinished, "--port", "0"], 1, /unfinished is not finished: continue it with/);
});

test("addresses and options that cannot be had", async () => {
  const other = createServer().listen(0, "127.0.0.1").unref();
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  await refused(
    [place.routed, "--port", String(port)],
    2,
    new RegExp(`port ${port} of 127\\.0\\.0\\.1 is in use: .*--port`),
  );
  await refused([], 2, /nothing to serve: name a run, a bundle, or --watch a folder/);
  await refused([place.routed, place.routed], 2, /two models have the name "routed"/);
  await refused(["--watch", join(place.folder, "nowhere"), "--port", "0"], 1, /nowhere: there is no such file/);
  await refused([place.routed, "--token-file", join(place.folder, "no-token")], 1, /no-token/);
  const short = join(place.folder, "short");
  writeFileSync(short, "abc\n");
  await refused([place.routed, "--token-file", short], 2, /at least 8 characters/);
  await refused([place.routed, "--log-level", "loud"], 2, /--log-level is loud: it must be one of/);
});
