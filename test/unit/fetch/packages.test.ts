import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { fetchDataset, findDataset, isFetched, knownDatasets } from "../../../src/data/index.ts";
import { fetchPackage, packageFolder, packages } from "../../../src/fetch/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { afterEach, beforeEach } from "../../support/hooks.ts";
import { temporaryFolder } from "../data/support.ts";

// Programs of our own stand in for the package managers: nothing here reaches the network.
const root = temporaryFolder();
let runs = 0;
let cache = "";
let programs = "";
const path = process.env["PATH"] ?? "";
beforeEach(() => {
  cache = join(root, `cache-${runs}`);
  programs = join(root, `programs-${runs++}`);
  mkdirSync(programs, { recursive: true });
  process.env["HUB_PATHWAY_CACHE"] = cache;
  process.env["PATH"] = [programs, path].join(delimiter);
});
afterEach(() => {
  process.env["PATH"] = path;
});

function program(name: string, script: string): void {
  const file = join(programs, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}

const leftOver = () => (existsSync(join(cache, "packages")) ? readdirSync(join(cache, "packages")) : []);
const userError =
  (...patterns: RegExp[]) =>
  (error: unknown) =>
    error instanceof UserError && error.exitCode === 1 && patterns.every((pattern) => pattern.test(error.message));

test("a package with another checksum is refused, and nothing of it stays", async () => {
  // npm pack SPEC --pack-destination FOLDER
  program("npm", 'echo replaced > "$4/package.tgz"');
  await assert.rejects(
    fetchPackage("emoji-datasource-google"),
    userError(/emoji-datasource-google 16\.0\.0/, /sha256/),
  );
  assert.deepEqual(leftOver(), []);
  assert.equal(packageFolder("emoji-datasource-google"), undefined);
});

test("a failing package manager is quoted, with what to do", async () => {
  program("npm", "echo no such host >&2; exit 1");
  await assert.rejects(fetchPackage("emoji-datasource-google"), userError(/no such host/, /try again/));
  program("apt-get", "echo mirror is away >&2; exit 100");
  await assert.rejects(fetchPackage("openclipart-png"), userError(/openclipart-png/, /mirror is away/));
  program("npm", "exit 0");
  await assert.rejects(fetchPackage("emoji-datasource-google"), userError(/not downloaded/));
  assert.deepEqual(leftOver(), []);
});

test("stale package lists are renewed in a place of our own, without root", async () => {
  const log = join(programs, "log");
  program(
    "apt-get",
    `echo "$@" >> ${log}
case "$*" in
  *update*) exit 0 ;;
  *Dir::State::lists*) echo replaced > fonts.deb ;;
  *) echo no such package >&2; exit 100 ;;
esac`,
  );
  await assert.rejects(fetchPackage("fonts-lato"), userError(/sha256/));
  assert.ok(existsSync(log));
  assert.deepEqual(leftOver(), []);
});

test("what lies in the cache is not fetched again", async () => {
  program("npm", "exit 1");
  const digest = packages.find((each) => each.name === "emoji-datasource-google")?.sha256.slice(0, 12);
  const folder = join(cache, "packages", `emoji-datasource-google-${digest}`);
  mkdirSync(folder, { recursive: true });
  assert.equal(await fetchPackage("emoji-datasource-google"), folder);
  assert.equal(packageFolder("emoji-datasource-google"), folder);
  assert.ok(isFetched(findDataset("emoji")));
  assert.equal((await fetchDataset("emoji")).name, "emoji");
});

test("an unknown name is answered with the known ones", async () => {
  await assert.rejects(fetchDataset("imagenet"), userError(/imagenet/, /emoji/, /openclipart/));
});

test("every known data set has a licence, an origin and pinned packages, and is a source or a target", () => {
  for (const known of knownDatasets) {
    assert.ok(known.licence && known.origin && known.summary && known.packages.length > 0, known.name);
    for (const name of known.packages) {
      const found = packages.find((each) => each.name === name);
      assert.match(found?.sha256 ?? "", /^[0-9a-f]{64}$/, name);
    }
  }
  const used = (role: string) =>
    new Set(knownDatasets.filter((known) => known.role === role).flatMap((known) => known.packages));
  const shared = [...used("target")].filter((name) => used("source").has(name));
  const fonts = ["greek", "scripts"].flatMap((name) => findDataset(name).packages);
  assert.deepEqual(
    shared.filter((name) => !fonts.includes(name)),
    [],
    "a package serves a source and a target, but for the fonts",
  );
});

test("Greek letters are none of the Latin characters, though both come out of the same fonts", async () => {
  const [latin, greek] = [await findDataset("latin").open([]), await findDataset("greek").open([])];
  assert.deepEqual([latin.classes.length, greek.classes.length], [74, 27]);
  assert.deepEqual(
    greek.classes.filter((letter) => latin.classes.includes(letter)),
    [],
  );
});

test("Greek letters: all variants of a font family are one group of a letter, and only they", async () => {
  const fonts = temporaryFolder();
  const files = [
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "FreeMonoBoldOblique.ttf",
    "FreeMono.ttf",
    "Lato-Thin.ttf",
  ];
  for (const file of files) writeFileSync(join(fonts, file), "");
  const { items } = await findDataset("greek").open([fonts]);
  const groups = new Set(items.filter(({ label }) => label === 0).map(({ group }) => group));
  assert.deepEqual([...groups].sort(), ["dejavusans:Γ", "dejavuserif:Γ", "freemono:Γ"]);
});
