/** Recognising a libtorch, and knowing when nothing is left to do. */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { load, packageFolder, runNode, temporaryFolder } from "./support.ts";

interface Libtorch {
  path: string;
  version: string;
  source: string;
  cuda: boolean;
}
const { headersVersion, isTested, libtorchFolder, whatIsMissing } = await load<{
  headersVersion(folder: string): string | undefined;
  isTested(version: string): boolean;
  libtorchFolder(setting: string): string;
  whatIsMissing(folder: string): string | undefined;
}>("bin/setup/libtorch.mjs");
const { addonIsCurrent, writeStamp } = await load<{
  addonIsCurrent(root: string): boolean;
  writeStamp(root: string, libtorch: Libtorch, isDistributed: boolean): void;
}>("bin/setup/stamp.mjs");
const { dependenciesAreCurrent } = await load<{ dependenciesAreCurrent(root: string): boolean }>(
  "bin/setup/dependencies.mjs",
);

function fakeLibtorch(path: string): string {
  for (const part of ["lib", "include/ATen", "include/torch/headeronly", "include/torch/csrc/api/include"]) {
    mkdirSync(join(path, part), { recursive: true });
  }
  for (const file of ["lib/libtorch_cpu.so", "lib/libc10.so", "include/ATen/ATen.h"])
    writeFileSync(join(path, file), "");
  const version = ["MAJOR 2", "MINOR 11", "PATCH 3"].map((part) => `#define TORCH_VERSION_${part}\n`).join("");
  writeFileSync(join(path, "include/torch/headeronly/version.h"), version);
  return path;
}

test("a libtorch is known by its files, its version by its headers", () => {
  using folder = temporaryFolder();
  const path = fakeLibtorch(join(folder.path, "libtorch"));
  assert.equal(whatIsMissing(path), undefined);
  assert.equal(headersVersion(path), "2.11.3");
  assert.equal(libtorchFolder(folder.path), path);
  rmSync(join(path, "lib/libc10.so"));
  assert.equal(whatIsMissing(path), "lib/libc10.so");
  assert.equal(libtorchFolder(folder.path), folder.path);
});

test("major and minor version decide what counts as tested", () => {
  assert.deepEqual(["2.13.0", "2.13.9", "2.12.0", "2.1.3", "3.13.0"].map(isTested), [true, true, false, false, false]);
});

test("the stamp holds until sources, library or addon change; then set-up is silent and does nothing", async () => {
  using folder = temporaryFolder();
  const home = packageFolder(join(folder.path, "package"));
  const path = fakeLibtorch(join(folder.path, "libtorch"));
  mkdirSync(join(home, "build/Release"), { recursive: true });
  writeFileSync(join(home, "build/Release/hub_pathway.node"), "addon");
  symlinkSync(path, join(home, "build/libtorch"));
  assert.equal(addonIsCurrent(home), false);
  const stamp = () => writeStamp(home, { path, version: "2.11.3", source: "LIBTORCH", cuda: false }, false);
  stamp();
  assert.equal(addonIsCurrent(home), true);
  const ended = await runNode([join(home, "bin/hub-pathway.js"), "setup"], { HOME: folder.path, LIBTORCH: path });
  assert.deepEqual(ended, { code: 0, stdout: "", stderr: "" });
  for (const file of ["native/call.cc", "bin/setup/compile.mjs", "build/Release/hub_pathway.node"]) {
    stamp();
    appendFileSync(join(home, file), "\n");
    assert.equal(addonIsCurrent(home), false, file);
  }
  stamp();
  writeFileSync(join(path, "lib/libtorch_cpu.so"), "another");
  assert.equal(addonIsCurrent(home), false);
  stamp();
  rmSync(path, { recursive: true });
  assert.equal(addonIsCurrent(home), false);
});

test("installed packages are current when npm's own record has every locked version", () => {
  using folder = temporaryFolder();
  const write = (file: string, packages: Record<string, object>) => {
    mkdirSync(join(folder.path, "node_modules"), { recursive: true });
    writeFileSync(join(folder.path, file), JSON.stringify({ packages }));
  };
  const locked = {
    "": {},
    "node_modules/a": { version: "1.0.0" },
    "node_modules/b": { version: "2.0.0", optional: true },
  };
  write("package-lock.json", locked);
  assert.equal(dependenciesAreCurrent(folder.path), false);
  write("node_modules/.package-lock.json", { "node_modules/a": { version: "1.0.0" } });
  assert.equal(dependenciesAreCurrent(folder.path), true);
  write("node_modules/.package-lock.json", { "node_modules/a": { version: "1.0.1" } });
  assert.equal(dependenciesAreCurrent(folder.path), false);
});
