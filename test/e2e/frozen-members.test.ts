/** Training with frozen members, and the report and the export of a run, as a user runs them. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { Predictor } from "../../src/library/index.ts";
import { lastLine, runHere, runProgram } from "../support/program.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

let folder: string;
let images: string;
let train: string[];

before(async () => {
  folder = temporaryFolder();
  images = await writeShapeImages(folder, 20);
  const options = ["--epochs", "2", "--batch-size", "16", "--image-size", "24", "--k", "2", "--json"];
  train = ["train", "--hub", writeSmallHub(folder), "--data", images, ...options];
});

const run = (args: string[], cache = "cache") => runHere(args, join(folder, cache));

test("--freeze-members computes features once; a second run finds them", async () => {
  const frozen = [...train, "--freeze-members", "--views", "2"];
  const first = await run([...frozen, "--out", join(folder, "first")]);
  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stderr.match(/features of .*: \d+ training images, 2 views, in /g)?.length, 3);
  const config = JSON.parse(readFileSync(join(folder, "first", "run.json"), "utf8")) as {
    choices: Record<string, unknown>;
    options: Record<string, unknown>;
  };
  assert.equal(config.options["frozenViews"], 2);
  assert.equal(config.choices["credit"], "losses");
  assert.match(readFileSync(join(folder, "first", "config.yaml"), "utf8"), /^credit: losses$/m);
  const second = await run([...frozen, "--out", join(folder, "second")]);
  assert.equal(second.code, 0, second.stderr);
  assert.doesNotMatch(second.stderr, /features of/);
  const same = (text: string) => {
    const { out: _out, report: _report, secondsPerImage: _time, trainingSeconds: _all, ...rest } = lastLine(text);
    return rest;
  };
  assert.deepEqual(same(second.stdout), same(first.stdout));
  const evaluated = await run(["eval", join(folder, "first"), "--json"]);
  assert.equal(lastLine(evaluated.stdout)["accuracy"], lastLine(first.stdout)["accuracy"]);
});

test("Ctrl-C while features are computed leaves no half-written file and no run, and the next one finds them", async () => {
  const out = join(folder, "stopped");
  const frozen = [...train, "--freeze-members", "--views", "2", "--out", out];
  const kill = { at: /features of/, signal: "SIGINT" } as const;
  const stopped = await runProgram(frozen, join(folder, "other-cache"), { kill });
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /nothing was written/);
  const kept = readdirSync(join(folder, "other-cache", "features"));
  assert.ok(kept.length > 0 && kept.every((name) => /^[\w-]+\.safetensors$/.test(name)), kept.join(" "));
  const again = await run(frozen, "other-cache");
  assert.equal(again.code, 0, again.stderr);
});

test("what does not go with frozen members is refused with a word on what to do", async () => {
  const refused = async (more: string[], pattern: RegExp) => {
    const { code, stderr } = await run([...train, "--out", join(folder, "refused"), ...more]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, pattern);
    assert.doesNotMatch(stderr, /\n\s+at /);
    assert.ok(!existsSync(join(folder, "refused")));
  };
  await refused(["--views", "2"], /--views.*add --freeze-members/);
  await refused(["--freeze-members", "--views", "0"], /'--views <n>' argument '0' is invalid.* from 1 to 1000/);
  await refused(["--freeze-members", "--augment", "mixup"], /mixup.*--augment/);
  await refused(["--freeze-members", "--batch-norm", "recalibrated"], /leave out --batch-norm/);
});

test("report prints its numbers and writes the page; reading the test split is noted", async () => {
  const out = join(folder, "reported");
  assert.equal((await run([...train, "--out", out])).code, 0);
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /hub-pathway report RUN/);
  const { code, stdout, stderr } = await run(["report", out, "--json"]);
  assert.equal(code, 0, stderr);
  const result = lastLine(stdout);
  assert.equal(result["report"], join(out, "report.html"));
  const variants = result["variants"] as { accuracyByK: { k: number; accuracy: number }[]; leaveOneOut: unknown[] };
  // A member that no validation image activates is not kept.
  const ks = variants.accuracyByK.map((one) => one.k);
  assert.deepEqual(ks, [1, 2, 3].slice(0, ks.length));
  assert.ok(ks.length >= 2);
  assert.equal(variants.leaveOneOut.length, 3);
  const cheaper = await run(["eval", out, "--k", "1", "--json"]);
  assert.equal(lastLine(cheaper.stdout)["accuracy"], variants.accuracyByK[0]?.accuracy);
  const page = readFileSync(join(out, "report.html"), "utf8");
  for (const part of ["Without one of the models", "Overlap", "Images typical", "Drift", "brightness", "Confusion"]) {
    assert.ok(page.includes(part), part);
  }
  assert.ok(!existsSync(join(out, "ledger.jsonl")));
  assert.equal((await run(["report", out, "--split", "test"])).code, 0);
  assert.equal(readFileSync(join(out, "ledger.jsonl"), "utf8").trim().split("\n").length, 1);
});

test("eval and predict answer by other rules than the run's routes, within a budget that validation images keep to", async () => {
  const out = join(folder, "reported");
  const { code, stdout, stderr } = await run(["eval", out, "--split", "test", "--mode", "cascade", "--json"]);
  assert.equal(code, 0, stderr);
  const { mode, settings, expectedFlops, inferenceFlops, accuracy } = lastLine(stdout);
  assert.equal(mode, "cascade");
  assert.match(String(settings), /sure/);
  assert.ok(Number(expectedFlops) > 0 && Number(inferenceFlops) > 0 && Number(accuracy) >= 0, stdout);
  const noted = JSON.parse(readFileSync(join(out, "ledger.jsonl"), "utf8").trim().split("\n").at(-1) ?? "");
  assert.deepEqual([noted.mode, noted.accuracy], [mode, accuracy]);
  const predicted = await run(["predict", out, join(images, "circle"), "--mode", "cascade", "--json"]);
  assert.equal(predicted.code, 0, predicted.stderr);
  const answer = lastLine(predicted.stdout);
  assert.deepEqual([[answer["setting"]], answer["expectedFlops"]], [settings, expectedFlops]);
  const [{ pathway }] = answer["predictions"] as [{ pathway: { weight: number }[] }];
  assert.ok(Math.abs(pathway.reduce((sum, { weight }) => sum + weight, 0) - 1) < 1e-6, predicted.stdout);
  await assert.rejects(
    Predictor.open(out, { mode: "stacking", flops: 1 }),
    /no setting of --mode stacking answers within --flops 1/,
  );
  await assert.rejects(Predictor.open(out, { mode: "knora", k: 1 }), /leave out --k/);
});

test("export writes what verify finds to answer as the run does", async () => {
  const [reported, bundle] = [join(folder, "reported"), join(folder, "bundle")];
  const { code, stdout, stderr } = await run(["export", reported, "--out", bundle]);
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /bundle has \d models and a router, [\d.]+ MB\nits answers are right on .*\ncompare its answers with the run's: hub-pathway verify /,
  );
  assert.match(readFileSync(join(bundle, "README.md"), "utf8"), /- test: [\d.]+ %, read on \d{4}-/);
  const verified = await run(["verify", bundle]);
  assert.equal(verified.code, 0, verified.stderr);
  assert.match(
    verified.stdout,
    /^\d files are those that were exported\n16 images have the run's answers: largest difference /,
  );
  const printed = lastLine((await run(["verify", bundle, "--json"])).stdout);
  assert.equal((printed["selfTest"] as { otherRoutes: number }).otherRoutes, 0);
  const refused = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    const { code: failed, stderr: text } = await run(args);
    assert.equal(failed, 1, text);
    assert.match(text, pattern);
  };
  await refused(/^error: .*bundle exists already: give another --out folder\n$/, "export", reported, "--out", bundle);
  await refused(/^error: .*hub holds no run/, "export", join(folder, "hub"), "--out", join(folder, "none"));
  appendFileSync(join(bundle, "router.onnx"), " ");
  await refused(/^error: .*router\.onnx is damaged or was replaced .*\n$/, "verify", bundle);
  assert.equal((await run(["export", reported])).code, 2);
});
