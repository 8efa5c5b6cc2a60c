/** Message of the set-up on a machine that lacks something: what, where, one command, exit code 2, no stack trace. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Ended, packageFolder, programs, root, runNode, temporaryFolder } from "./support.ts";

const compilers = { "g++": "echo 12" };
const noTorch = 'case "$*" in *download*) echo "ERROR: No matching distribution found for torch" >&2; exit 1;; esac';

async function setUp(
  folder: string,
  scripts: Record<string, string>,
  env: Record<string, string> = {},
  args: string[] = [],
) {
  const PATH = programs(join(folder, "programs"), scripts);
  const home = packageFolder(join(folder, "package"));
  // A file that is not there: nothing is fetched from anywhere.
  const LIBTORCH_ARCHIVE = join(folder, "none.zip");
  return runNode([join(home, "bin/hub-pathway.js"), "setup", ...args], {
    PATH,
    HOME: folder,
    LIBTORCH_ARCHIVE,
    ...env,
  });
}

function assertPlainFailure(ended: Ended, ...said: RegExp[]) {
  assert.equal(ended.code, 2, ended.stderr);
  for (const pattern of [/looked for/, /where/, /mend it with/, ...said]) assert.match(ended.stderr, pattern);
  assert.doesNotMatch(ended.stderr, /^\s+at /m);
}

test("no compiler: found before anything is fetched, with the command that installs one", async () => {
  using folder = temporaryFolder();
  const ended = await setUp(folder.path, { python3: "exit 0" });
  assertPlainFailure(ended, /no C\+\+ compiler \(g\+\+\)/, /install .*g\+\+/);
  assert.equal(ended.stdout, "");
});

test("neither the archive nor python3", async () => {
  using folder = temporaryFolder();
  assertPlainFailure(await setUp(folder.path, compilers), /no pip/, /install .*python3 python3-pip/);
});

test("a compiler that is too old", async () => {
  using folder = temporaryFolder();
  const ended = await setUp(folder.path, { ...compilers, "g++": "echo 9", python3: "exit 0" });
  assertPlainFailure(ended, /g\+\+ 9 is too old/);
});

test("python3 without pip", async () => {
  using folder = temporaryFolder();
  const python3 = 'case "$*" in *pip*) exit 1;; esac';
  assertPlainFailure(await setUp(folder.path, { ...compilers, python3 }), /no pip/, /python3-pip/);
});

test("pip finds no torch: what it said, and nothing half-installed", async () => {
  using folder = temporaryFolder();
  const ended = await setUp(folder.path, { ...compilers, python3: noTorch }, {}, ["--json"]);
  assertPlainFailure(ended, /No matching distribution/, /LIBTORCH=/);
  const { ok, error } = JSON.parse(ended.stdout) as { ok: boolean; error: { command: string } };
  assert.equal(ok, false);
  assert.match(error.command, /npx hub-pathway setup/);
  assert.equal(existsSync(join(folder.path, "package/.libtorch/torch")), false);
  assert.equal(existsSync(join(folder.path, "package/.libtorch/fetching")), false);
});

test("LIBTORCH names a folder that is no libtorch", async () => {
  using folder = temporaryFolder();
  const env = { LIBTORCH: join(folder.path, "nowhere") };
  const ended = await setUp(folder.path, { ...compilers, python3: noTorch }, env);
  assertPlainFailure(ended, /LIBTORCH does not name a libtorch: .*nowhere has no lib\/libtorch_cpu\.so/);
});

test("a CUDA build without its companions: how to get the CPU build", async () => {
  using folder = temporaryFolder();
  const libtorch = join(folder.path, "libtorch");
  for (const part of ["lib", "include/ATen", "include/torch/headeronly", "include/torch/csrc/api/include"]) {
    mkdirSync(join(libtorch, part), { recursive: true });
  }
  for (const file of ["lib/libtorch_cpu.so", "lib/libtorch_cuda.so", "lib/libc10.so", "include/ATen/ATen.h"]) {
    writeFileSync(join(libtorch, file), "");
  }
  const version = ["MAJOR 2", "MINOR 13", "PATCH 0"].map((part) => `#define TORCH_VERSION_${part}\n`).join("");
  writeFileSync(join(libtorch, "include/torch/headeronly/version.h"), version);
  const ldd = 'echo "	libcudart.so.13 => not found"';
  const ended = await setUp(folder.path, { ...compilers, python3: "exit 0", ldd }, { LIBTORCH: libtorch });
  assertPlainFailure(ended, /CUDA build/, /libcudart\.so\.13/, /CPU/);
});

test("a prebuilt addon of other sources: refused when it is named, compiled instead when it is installed", async () => {
  using folder = temporaryFolder();
  const place = join(folder.path, "package/node_modules/@hub-pathway", `${process.platform}-${process.arch}`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "hub_pathway.node"), "");
  const hubPathway = { sources: "others", modules: process.versions.modules, libtorch: "2.13.0" };
  writeFileSync(join(place, "package.json"), JSON.stringify({ name: "p", hubPathway }));
  const named = await setUp(folder.path, compilers, {}, ["--prebuilt", place]);
  assertPlainFailure(named, /cannot be used: it is made for other sources \(others, not /);
  rmSync(join(folder.path, "programs"), { recursive: true });
  const installed = await setUp(folder.path, { python3: "exit 0" });
  assertPlainFailure(installed, /is made for other sources .*compiling/, /no C\+\+ compiler/);
});

test("a system without libtorch: said at once, with what is supported", async () => {
  using folder = temporaryFolder();
  const bin = join(packageFolder(join(folder.path, "package")), "bin/hub-pathway.js");
  const elsewhere = "data:text/javascript,Object.defineProperty(process, 'platform', { value: 'freebsd' })";
  const ended = await runNode(["--import", elsewhere, bin, "setup"], { PATH: "", HOME: folder.path });
  assertPlainFailure(ended, /does not run on freebsd/, /Linux with glibc/);
});

test("version, help and doctor before the set-up", async () => {
  using folder = temporaryFolder();
  const bin = join(packageFolder(join(folder.path, "package")), "bin/hub-pathway.js");
  const env = { PATH: programs(join(folder.path, "programs"), {}), HOME: folder.path };
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  assert.deepEqual(await runNode([bin, "--version"], env), { code: 0, stdout: `${version}\n`, stderr: "" });
  const help = await runNode([bin, "--help"], env);
  assert.equal(help.code, 0, help.stderr);
  assert.match(help.stdout, /hub-pathway setup/);
  const doctor = await runNode([bin, "doctor", "--json"], env);
  assert.equal(doctor.code, 2);
  const said = JSON.parse(doctor.stdout) as Record<string, unknown>;
  assert.deepEqual([said["ready"], said["addon"], said["builder"]], [false, "missing", "missing"]);
  assert.match(String(said["command"]), /install .*g\+\+ && npx hub-pathway setup/);
  assert.equal((await runNode([bin, "doctor"], env)).stderr.trim().split("\n").length, 1);
});

test("an unknown option, and another command before the set-up", async () => {
  using folder = temporaryFolder();
  const ended = await setUp(folder.path, compilers, {}, ["--frobnicate"]);
  assert.equal(ended.code, 2);
  assert.match(ended.stderr, /Unknown option '--frobnicate'/);
  const train = await runNode([join(folder.path, "package/bin/hub-pathway.js"), "train"], { HOME: folder.path });
  assert.equal(train.code, 2);
  assert.match(train.stderr, /npx hub-pathway setup/);
  assert.doesNotMatch(train.stderr, /^\s+at /m);
});
