/** A finished run, used as a user does: moved, without hub and images, on other images, by several kinds of argument. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { imagesOf } from "../../src/cli/image-arguments.ts";
import type { ImagePrediction } from "../../src/library/index.ts";
import { lastLine, runHere } from "../support/program.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));

let folder: string;
let images: string;
let photo: string;

type Answer = ImagePrediction & { image: string; error?: string };

const run = (...args: string[]) => runHere(args, join(folder, "cache"));
const runs = () => join(folder, "runs", "shapes");

async function predicted(...args: string[]): Promise<Answer[]> {
  const { code, stdout, stderr } = await run("predict", ...args, "--json");
  assert.equal(code, 0, stderr);
  return lastLine(stdout)["predictions"] as Answer[];
}

before(async () => {
  folder = temporaryFolder();
  images = await writeShapeImages(folder, 10);
  photo = join(folder, "photo.png");
  cpSync(join(images, "circle", "3.png"), photo);
  const options = ["--epochs", "2", "--batch-size", "8", "--image-size", "24", "--k", "2"];
  const trained = await run("train", "--hub", writeSmallHub(folder), "--data", images, "--out", runs(), ...options);
  assert.equal(trained.code, 0, trained.stderr);
  assert.doesNotMatch(readFileSync(join(runs(), "run.json"), "utf8"), new RegExp(folder));
});

test("it predicts the same when it moved, its hub and images are gone, and its training state was deleted", async () => {
  const [before] = await predicted(runs(), photo, "--top", "3");
  assert.equal(before?.top.length, 3);
  const elsewhere = join(folder, "elsewhere", "moved run");
  mkdirSync(join(folder, "elsewhere"));
  cpSync(runs(), elsewhere, { recursive: true });
  rmSync(join(elsewhere, "training"), { recursive: true });
  for (const name of ["hub", "images"]) renameSync(join(folder, name), join(folder, `${name}-away`));
  try {
    const [after] = await predicted(elsewhere, photo, "--top", "3");
    assert.deepEqual(after, before);
    const measured = await run("eval", elsewhere);
    assert.equal(measured.code, 1);
    assert.match(measured.stderr, /images/);
    const moved = await run("eval", elsewhere, "--data", join(folder, "images-away"), "--json");
    assert.equal(moved.code, 0, moved.stderr);
  } finally {
    for (const name of ["hub", "images"]) renameSync(join(folder, `${name}-away`), join(folder, name));
  }
});

test("eval maps classes by name, finds images by content, and says what changed", async () => {
  const test = async (...args: string[]) => {
    const { code, stdout, stderr } = await run("eval", runs(), "--split", "test", ...args, "--json");
    return { code, stderr, result: lastLine(stdout) };
  };
  const before = await test();
  assert.equal(before.code, 0, before.stderr);
  const runsOn = Object.values(before.result["runsOn"] as Record<string, number>);
  assert.ok(Math.abs(runsOn.reduce((a, b) => a + b, 0) - 2) < 1e-9);
  const [low, high] = before.result["accuracyInterval"] as [number, number];
  assert.ok(low <= (before.result["accuracy"] as number) && (before.result["accuracy"] as number) <= high);

  const other = join(folder, "other");
  cpSync(images, other, { recursive: true });
  renameSync(join(other, "circle"), join(other, "zirkel"));
  const renamed = await test("--data", other);
  assert.equal(renamed.code, 1);
  assert.match(renamed.stderr, /does not know the class "zirkel"/);
  renameSync(join(other, "zirkel"), join(other, "circle"));

  // Other names and a new image change nothing but the remark.
  for (const name of readdirSync(join(other, "square"))) {
    renameSync(join(other, "square", name), join(other, "square", `another-${name}`));
  }
  cpSync(join(images, "stripe", "0.png"), join(other, "stripe", "copy.png"));
  writeFileSync(join(other, "stripe", "new.svg"), '<svg width="9" height="9"><rect width="5" height="5"/></svg>');
  const grown = await test("--data", other);
  const figures = ({ accuracy, logLoss, items }: Record<string, unknown>) => ({ accuracy, logLoss, items });
  assert.deepEqual(figures(grown.result), figures(before.result));
  assert.match(grown.stderr, /1 images are new/);

  // A folder of one class that has only seen images, and one new: only the new one counts.
  const fresh = join(folder, "fresh");
  for (const name of ["circle", "square"]) mkdirSync(join(fresh, name), { recursive: true });
  writeFileSync(join(fresh, "circle", "a.svg"), '<svg width="9" height="9"><circle r="4"/></svg>');
  writeFileSync(join(fresh, "square", "b.svg"), '<svg width="9" height="9"><rect width="4" height="4"/></svg>');
  const split = JSON.parse(readFileSync(join(runs(), "split.json"), "utf8")) as { train: [string, string][] };
  const seen = (split.train.find(([, id]) => id.includes("circle"))?.[1] ?? "").split("/").at(-1) ?? "";
  cpSync(join(images, "circle", seen), join(fresh, "circle", "seen.png"));
  const foreign = await test("--data", fresh);
  assert.equal(foreign.code, 0, foreign.stderr);
  assert.equal(foreign.result["items"], 2);
  assert.match(foreign.stderr, /other images than the run's: 2 are measured/);
});

test("predict takes folders, patterns, lists and images from standard input, and writes a table", async () => {
  const all = await predicted(runs(), images);
  assert.equal(all.length, 30);
  const pattern = await predicted(runs(), `${images}/*/3.png`);
  assert.deepEqual(
    pattern,
    all.filter(({ image }) => image.endsWith("/3.png")),
  );
  const [alone] = await predicted(runs(), photo);
  assert.deepEqual(await piped(["predict", runs(), "-", "--json"], readFileSync(photo)), [{ ...alone, image: "-" }]);
  const list = Readable.from([Buffer.from(`${photo}\n\n${photo}\n`)]);
  assert.deepEqual(await Readable.from(imagesOf(["-"], list)).toArray(), [photo, photo]);
  const table = join(folder, "labels.csv");
  const bad = join(folder, 'bad, "file".jpg');
  writeFileSync(bad, "<html>404</html>");
  const { code, stdout } = await run("predict", runs(), photo, bad, photo, join(folder, "none.png"), "--csv", table);
  assert.equal(code, 1);
  assert.equal(stdout.match(/ % {2}by /g)?.length, 2);
  assert.equal(stdout.match(/error: /g)?.length, 2);
  assert.doesNotMatch(stdout, /skip-bad/);
  const lines = readFileSync(table, "utf8").trim().split("\r\n");
  assert.equal(lines[0], "image,label,probability,members,error");
  assert.equal(lines.length, 5);
  assert.ok(lines[2]?.startsWith(`"${bad.replaceAll('"', '""')}",,,,`), lines[2]);
  assert.equal((await run("predict", runs(), photo, "--csv", join(folder, "no", "table.csv"))).code, 1);
});

async function piped(args: string[], input: Buffer): Promise<Answer[]> {
  const env = { ...process.env, HUB_PATHWAY_CACHE: join(folder, "cache"), OMP_NUM_THREADS: "1" };
  const child = spawn(process.execPath, [program, ...args], { env, stdio: ["pipe", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.on("data", (chunk) => {
    stdout += String(chunk);
  });
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0);
  return lastLine(stdout)["predictions"] as Answer[];
}
