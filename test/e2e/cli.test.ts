/** The program as a user runs it: commands, exit codes, one line for each kind of bad input. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { acquireLock } from "../../src/io/index.ts";
import { lastLine, runHere, runProgram } from "../support/program.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

let folder: string;
let hub: string;
let images: string;

before(async () => {
  folder = temporaryFolder();
  hub = writeSmallHub(folder);
  images = await writeShapeImages(folder, 20);
});

const run = (args: string[]) => runHere(args, join(folder, "cache"));

function trainArgs(out: string, more: string[] = []): string[] {
  const base = [
    "train",
    "--hub",
    hub,
    "--data",
    images,
    "--out",
    join(folder, out),
    "--epochs",
    "2",
    "--batch-size",
    "16",
  ];
  return [...base, "--image-size", "24", "--k", "2", ...more];
}

test("train, eval, predict and report, each with --json", async () => {
  const trained = await run(trainArgs("run", ["--json"]));
  assert.equal(trained.code, 0, trained.stderr);
  assert.ok(existsSync(join(folder, "run", "report.html")));
  const evaluated = await run(["eval", join(folder, "run"), "--split", "test", "--json"]);
  assert.equal(evaluated.code, 0, evaluated.stderr);
  const result = lastLine(evaluated.stdout);
  assert.ok(typeof result["accuracy"] === "number" && typeof result["secondsPerImage"] === "number");
  const shares = Object.values(result["pathwayShare"] as Record<string, number>);
  assert.equal(shares.length, 3);
  assert.ok(Math.abs(shares.reduce((a, b) => a + b, 0) - 1) < 1e-9);
  assert.equal(
    readFileSync(join(folder, "run", "ledger.jsonl"), "utf8")
      .trim()
      .split("\n").length,
    1,
  );
  const image = join(images, "circle", "0.png");
  const predicted = await run(["predict", join(folder, "run"), image, "--json"]);
  const [prediction] = lastLine(predicted.stdout)["predictions"] as {
    label: string;
    pathway: { weight: number }[];
  }[];
  assert.ok(["circle", "square", "stripe"].includes(prediction?.label ?? ""));
  assert.equal(prediction?.pathway.length, 2);
  const spoken = await run(["predict", join(folder, "run"), image]);
  assert.match(spoken.stdout, /0\.png {2}(circle|square|stripe) +\d+\.\d % {2}by .* 0\.50, .* 0\.50/);
  const cheaper = await run(["eval", join(folder, "run"), "--k", "1", "--json"]);
  assert.ok((lastLine(cheaper.stdout)["inferenceFlops"] as number) < (result["inferenceFlops"] as number));
  const budget = String((result["inferenceFlops"] as number) * 0.7);
  const within = await run(["eval", join(folder, "run"), "--flops", budget, "--json"]);
  assert.ok((lastLine(within.stdout)["inferenceFlops"] as number) <= Number(budget));
  await refused(["eval", join(folder, "run"), "--flops", "10"], 2, /even one model costs/);
  const hour = await run(["eval", join(folder, "run"), "--ms", "3600e3", "--json"]);
  assert.equal(lastLine(hour.stdout)["activatedModels"], 2);
  await refused(["eval", join(folder, "run"), "--ms", "1e-6"], 2, /ms is 0.000001: even one model costs [\d.]+ ms/);
  await refused(["eval", join(folder, "run"), "--ms", "9", "--flops", "10"], 2, /--ms, --k and --flops all choose/);
  const sure = await run(["eval", join(folder, "run"), "--confidence", "1e-9", "--json"]);
  assert.equal(lastLine(sure.stdout)["activatedModels"], 1);
  assert.equal(lastLine(sure.stdout)["accuracy"], lastLine(cheaper.stdout)["accuracy"]);
  await refused(["eval", join(folder, "run"), "--confidence", "2"], 2, /'--confidence <p>' argument '2' is invalid/);
  assert.equal((await run(["report", join(folder, "run"), "--json"])).code, 0);
});

test("Ctrl-C saves, says how to go on, and --resume finishes, but not with other options", async () => {
  const kill = { at: /epoch 1\/2/, signal: "SIGINT" } as const;
  const cut = await runProgram(trainArgs("cut"), join(folder, "cache"), { kill });
  assert.equal(cut.code, 130, cut.stderr);
  assert.match(cut.stderr, /--resume/);
  const unfinished = await run(["eval", join(folder, "cut")]);
  assert.equal(unfinished.code, 1);
  assert.match(unfinished.stderr, /not finished/);
  await refused(trainArgs("cut", ["--resume", "--lr", "0.1"]), 2, /another run: lr was 0\.001, now 0\.1/);
  const resumed = await run(trainArgs("cut", ["--resume", "--json"]));
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, /going on from step \d+/);
});

test("Ctrl-C while train measures what routing is worth leaves a whole run, and says so", async () => {
  const kill = { at: /"type":"result"/, signal: "SIGINT" } as const;
  const cut = await runProgram(trainArgs("unmeasured", ["--json"]), join(folder, "cache"), { kill });
  assert.equal(cut.code, 130, cut.stderr);
  assert.match(cut.stderr, /interrupted; the run is trained and saved, without its report\. Go on with: .*report /);
  const out = join(folder, "unmeasured");
  assert.equal(lastLine(cut.stdout)["interrupted"], true);
  assert.ok(!existsSync(join(out, "report.html")));
  const reported = await run(["report", out, "--split", "validation", "--json"]);
  assert.equal(reported.code, 0, reported.stderr);
  assert.ok(existsSync(join(out, "report.html")));
});

test("hub ls, show and verify; data ls and check; doctor", async () => {
  for (const args of [
    ["hub", "ls", hub],
    ["hub", "show", hub],
    ["hub", "verify", hub],
    ["data", "ls"],
    ["data", "check", images],
    ["doctor"],
  ]) {
    const outcome = await run([...args, "--json"]);
    assert.equal(outcome.code, 0, `${args.join(" ")}: ${outcome.stderr}`);
    assert.ok(Object.keys(lastLine(outcome.stdout)).length > 0);
  }
});

test("every command has --help with an example", async () => {
  const commands = [
    ["doctor"],
    ["hub", "ls"],
    ["hub", "show"],
    ["hub", "verify"],
    ["hub", "add"],
    ["hub", "rm"],
    ["hub", "rank"],
    ["data", "ls"],
    ["data", "fetch"],
    ["data", "check"],
    ["train"],
    ["eval"],
    ["predict"],
    ["report"],
    ["serve"],
  ];
  for (const command of commands) {
    const outcome = await run([...command, "--help"]);
    assert.equal(outcome.code, 0);
    assert.match(outcome.stdout, /Examples?:\n {2}hub-pathway/, command.join(" "));
  }
});

/** One line that names file and remedy, the right exit code, no stack trace, and no run folder. */
async function refused(args: string[], code: number, pattern: RegExp, out?: string): Promise<void> {
  const outcome = await run(args);
  assert.equal(outcome.code, code, `${outcome.stdout}${outcome.stderr}`);
  assert.match(outcome.stderr, pattern);
  assert.doesNotMatch(outcome.stderr, /\n\s+at /);
  if (out) assert.ok(!existsSync(join(folder, out)), "a half-written run");
}

test("k out of range is a configuration error", async () => {
  await refused(trainArgs("bad-k", ["--k", "4"]), 2, /k is 4: it must be a whole number from 1 to 3/);
  await refused(trainArgs("bad-k0", ["--k", "0"]), 2, /--k <n>.*It must be a whole number of at least 1/);
});

test("one model an image without losses that compare models is remarked on", async () => {
  const nowhere = (...more: string[]) => trainArgs("one", ["--k", "1", "--data", "nowhere", ...more]);
  const remark = /^with --k 1 models are hardly compared.*: --credit losses/;
  await refused(nowhere(), 1, remark);
  await refused(nowhere("--credit", "losses"), 1, /^error: /);
  await refused(nowhere("--freeze-members"), 1, /^error: /);
  await refused(nowhere("--freeze-members", "--preset", "paper"), 1, remark);
});

test("unknown options, methods and names", async () => {
  await refused(trainArgs("u", ["--dat", "x"]), 2, /unknown option '--dat'/);
  await refused(trainArgs("m", ["--method", "magic"]), 2, /no method "magic"; there are: hub-pathway/, "m");
  await refused(["eval", join(folder, "none")], 1, /holds no run/);
  await refused(["data", "fetch", "none"], 1, /no data set "none"; known are/);
  const ofOne = trainArgs("mm", ["--method", "fine-tune", "--member", "nobody"]);
  await refused(ofOne, 2, /the method fine-tune has no choice k; its choices are: member/, "mm");
  await refused(
    ofOne.filter((_, i) => i !== ofOne.indexOf("--k") && i !== ofOne.indexOf("--k") + 1),
    2,
    /no member "nobody"; it has: small-resnet/,
    "mm",
  );
});

test("bad folders of images", async () => {
  const make = (name: string, fill: (dir: string) => void) => {
    const dir = join(folder, name);
    mkdirSync(dir);
    fill(dir);
    return ["train", "--hub", hub, "--data", dir, "--out", join(folder, `${name}-run`), "--image-size", "24"];
  };
  await refused(
    make("empty", () => {}),
    1,
    /empty has no images: expected a sub-folder/,
    "empty-run",
  );
  await refused(
    make("one", (dir) => cpSync(join(images, "circle"), join(dir, "circle"), { recursive: true })),
    1,
    /only one class/,
    "one-run",
  );
  const unseen = make("unseen", (dir) => {
    cpSync(images, join(dir, "train"), { recursive: true });
    cpSync(images, join(dir, "test"), { recursive: true });
    rmSync(join(dir, "train", "stripe"), { recursive: true });
  });
  await refused(unseen, 1, /"stripe" has no image in train/, "unseen-run");
});

test("a broken image stops training by name, or is skipped and counted where the user asks", async () => {
  const dir = join(folder, "broken");
  cpSync(images, dir, { recursive: true });
  const whole = readFileSync(join(dir, "circle", "1.png"));
  writeFileSync(join(dir, "circle", "1.png"), whole.subarray(0, whole.length / 2));
  const args = ["train", "--hub", hub, "--data", dir, "--epochs", "1", "--image-size", "24"];
  await refused(
    [...args, "--out", join(folder, "b1")],
    1,
    /circle\/1\.png cannot be used: it ends early.*--skip-bad/,
    "b1",
  );
  const skipped = await run([...args, "--out", join(folder, "b2"), "--skip-bad"]);
  assert.equal(skipped.code, 0, skipped.stderr);
  assert.match(skipped.stderr, /1 images could not be read/);
  await refused(["data", "check", dir], 1, /circle\/1\.png/);

  // The run remembers that it leaves such files out, also among images that it has never seen.
  const fresh = join(folder, "fresh");
  for (const name of ["circle", "square", "stripe"]) {
    mkdirSync(join(fresh, name), { recursive: true });
    for (const file of ["0.png", "1.png"]) {
      await sharp(join(images, name, file))
        .negate({ alpha: false })
        .toFile(join(fresh, name, `new-${file}`));
    }
  }
  writeFileSync(join(fresh, "circle", "new-1.png"), whole.subarray(0, whole.length / 2));
  const others = ["--split", "test", "--data", fresh];
  const evaluated = await run(["eval", join(folder, "b2"), ...others, "--json"]);
  assert.equal(lastLine(evaluated.stdout)["items"], 5, evaluated.stderr);
  await refused(["eval", join(folder, "run"), ...others], 1, /circle\/new-1\.png cannot be used/);
  const before = readFileSync(join(folder, "b2", "report.html"), "utf8");
  assert.equal((await run(["report", join(folder, "b2")])).code, 0);
  assert.notEqual(readFileSync(join(folder, "b2", "report.html"), "utf8"), before);
  const [ended, sound] = [join(dir, "circle", "1.png"), join(dir, "circle", "2.png")];
  const predicted = await run(["predict", join(folder, "b2"), ended, sound, "--json"]);
  const [first, second] = lastLine(predicted.stdout)["predictions"] as { error?: string; label?: string }[];
  assert.match(first?.error ?? "", /ends early/);
  assert.ok(second?.label);
  rmSync(ended);
  assert.equal((await run(["eval", join(folder, "b2"), "--split", "validation"])).code, 0);
});

test("report writes nothing while another process works in the run's folder", async () => {
  const out = join(folder, "run");
  const page = join(out, "report.html");
  rmSync(page);
  const args = ["report", out, "--split", "validation"];
  {
    using _lock = acquireLock(join(out, ".lock"), "hub-pathway train");
    await refused(args, 1, /hub-pathway train/);
    assert.ok(!existsSync(page));
  }
  assert.equal((await run(args)).code, 0);
  assert.ok(existsSync(page) && !existsSync(join(out, ".lock")));
});

test("a hub with a wrong hash", async () => {
  const other = join(folder, "other");
  mkdirSync(other);
  cpSync(hub, join(other, "hub"), { recursive: true });
  const file = readdirSync(join(other, "hub")).find((name) => name.endsWith(".safetensors")) ?? "";
  writeFileSync(join(other, "hub", file), "nothing");
  await refused(["hub", "verify", join(other, "hub")], 1, /1 of 3 members/);
  const args = [
    "train",
    "--hub",
    join(other, "hub"),
    "--data",
    images,
    "--out",
    join(folder, "h"),
    "--image-size",
    "24",
  ];
  await refused(args, 1, /sha256.*restore it/);
});

test("a reader that stops, as head does, ends the program without a word", async () => {
  const bin = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));
  const child = spawn(process.execPath, [bin, "train", "--help"], { stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (data) => {
    stderr += String(data);
  });
  const [code] = await once(child, "close");
  assert.deepEqual([code, stderr], [141, ""]);
});
