/** Fetching libtorch: its own archive, else what pip finds in an index that also has the CUDA build. */
// Long: archives as large as a library's are made and unpacked.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ZipPart, zipOf } from "../../support/archive-writer.ts";
import { FileServer, sha256 } from "../../support/file-server.ts";
import { beforeEach } from "../../support/hooks.ts";
import { load, programs, root, temporaryFolder } from "./support.ts";

interface Libtorch {
  path: string;
  version: string;
  cuda: boolean;
}

const { findLibtorch, localFolder, whatIsMissing } = await load<{
  findLibtorch(
    root: string,
    accept: (libtorch: Libtorch, loads: Promise<void>) => Promise<void>,
    options: { again: boolean; packages: Promise<void> },
  ): Promise<Libtorch>;
  localFolder(root: string): string;
  whatIsMissing(folder: string): string | undefined;
}>("bin/setup/libtorch.mjs");

const version = ["MAJOR 2", "MINOR 13", "PATCH 0"].map((part) => `#define TORCH_VERSION_${part}\n`).join("");
/** Over the size up to which files are read at once, in a form that a stream has to inflate. */
const large = Buffer.alloc(5_000_000, "libtorch ");

function libtorchParts(prefix: string, more: ZipPart[] = []): ZipPart[] {
  const files: Record<string, string | Buffer> = {
    "lib/libtorch_cpu.so": large,
    "lib/libc10.so": "c10",
    "lib/libtorch_python.so": "needs Python",
    "include/ATen/ATen.h": "#pragma once\n",
    "include/torch/headeronly/version.h": version,
    "include/torch/csrc/api/include/torch/all.h": "",
    "share/cmake/Torch/TorchConfig.cmake": "",
  };
  const parts = Object.entries(files).map(([name, text]) => ({
    name: `${prefix}${name}`,
    content: Buffer.from(text),
    deflate: text.length > 100,
  }));
  return [...parts, ...more];
}

/** A wheel as pip takes it, with the hashes of its files. */
function wheel(name: string, libraries: ZipPart[] = [], changed?: (parts: ZipPart[]) => void): Buffer {
  const parts = libtorchParts("torch/", libraries);
  const info = `torch-${name}.dist-info`;
  parts.push({
    name: `${info}/METADATA`,
    content: Buffer.from(`Metadata-Version: 2.1\nName: torch\nVersion: ${name}\n`),
  });
  parts.push({
    name: `${info}/WHEEL`,
    content: Buffer.from("Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n"),
  });
  const hash = (content: Buffer) => createHash("sha256").update(content).digest("base64url");
  const record = parts.map((part) => `${part.name},sha256=${hash(part.content)},${part.content.length}\n`).join("");
  changed?.(parts);
  return zipOf([...parts, { name: `${info}/RECORD`, content: Buffer.from(`${record}${info}/RECORD,,\n`) }]);
}

const archive = zipOf(libtorchParts("libtorch/"));
let server: FileServer;
before(async () => {
  server = await FileServer.start();
});
after(() => server.stop());

/** Python itself: the script of a version manager takes longer to start. */
const python = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).trim();

/** pip asks the server's index alone; no Python torch is installed; ldd knows one missing library of CUDA builds. */
function environment(folder: string): void {
  const rest = process.env["PATH"];
  const path = programs(join(folder, "programs"), {
    python3: `case "$1" in -c) exit 1;; esac; PATH=${JSON.stringify(rest)} exec ${JSON.stringify(python)} "$@"`,
    ldd: '[ -e "$(dirname "$1")/libtorch_cuda.so" ] && echo "	libcudart.so.13 => not found"; exit 0',
  });
  for (const name of Object.keys(process.env).filter((key) => /^(PIP_|LIBTORCH)/.test(key))) delete process.env[name];
  Object.assign(process.env, {
    PATH: `${path}:${rest}`,
    PIP_CONFIG_FILE: "/dev/null",
    PIP_INDEX_URL: `${server.origin}/simple/`,
    PIP_NO_CACHE_DIR: "1",
    LIBTORCH_ARCHIVE: `${server.origin}/libtorch.zip`,
  });
}

const originalPath = process.env["PATH"];
beforeEach(() => {
  process.env["PATH"] = originalPath;
});

/** Serves an index that holds these wheels. */
function serveWheels(wheels: Record<string, Buffer>): void {
  const links = Object.keys(wheels).map((name) => `<a href="/wheels/${name}">${name}</a>`);
  server.serve("/simple/torch/", { body: links.join("\n"), headers: { "content-type": "text/html" } });
  for (const [name, body] of Object.entries(wheels)) server.serve(`/wheels/${encodeURIComponent(name)}`, { body });
  for (const [name, body] of Object.entries(wheels)) server.serve(`/wheels/${name}`, { body });
}

async function find(folder: string): Promise<Libtorch> {
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), "{}");
  const accept = async (libtorch: Libtorch, loads: Promise<void>) => {
    // Compiling begins with the headers.
    assert.ok(existsSync(join(libtorch.path, "include/ATen/ATen.h")));
    await loads;
  };
  return findLibtorch(folder, accept, { again: true, packages: Promise.resolve() });
}

function assertWhole(folder: string): void {
  const path = localFolder(folder);
  assert.equal(whatIsMissing(path), undefined);
  assert.ok(readFileSync(join(path, "lib/libtorch_cpu.so")).equals(large));
  assert.equal(existsSync(join(path, "lib/libtorch_python.so")), false);
  assert.equal(existsSync(join(folder, ".libtorch/fetching")), false);
}

test("the archive with the hash that is stated for it, without Python", async () => {
  using folder = temporaryFolder();
  environment(folder.path);
  server.serve("/libtorch.zip", { body: archive });
  process.env["LIBTORCH_SHA256"] = sha256(archive);
  // A PATH without python3 at all.
  process.env["PATH"] = programs(join(folder.path, "none"), { ldd: "exit 0" });
  const libtorch = await find(folder.path);
  assert.deepEqual([libtorch.version, libtorch.cuda], ["2.13.0", false]);
  assertWhole(folder.path);
});

test("an archive in a file", async () => {
  using folder = temporaryFolder();
  environment(folder.path);
  writeFileSync(join(folder.path, "mine.zip"), archive);
  Object.assign(process.env, { LIBTORCH_ARCHIVE: join(folder.path, "mine.zip"), LIBTORCH_SHA256: sha256(archive) });
  await find(folder.path);
  assertWhole(folder.path);
});

test("an archive that is another one is not used, and pip is not asked instead", async () => {
  using folder = temporaryFolder();
  environment(folder.path);
  server.serve("/libtorch.zip", { body: archive });
  serveWheels({ "torch-2.13.0+cpu-py3-none-any.whl": wheel("2.13.0+cpu") });
  await assert.rejects(find(folder.path), new RegExp(`its sha256 is ${sha256(archive)}`));
  assert.notEqual(whatIsMissing(localFolder(folder.path)), undefined);
});

test("an archive that ends early and one that is none", async () => {
  for (const [body, pattern] of [
    [archive.subarray(0, archive.length - 100), /cannot be unpacked/],
    [Buffer.from("<html>"), /cannot be unpacked/],
    [zipOf([{ name: "readme", content: Buffer.from("x") }]), /holds no lib\/libc10/],
  ] as const) {
    using folder = temporaryFolder();
    environment(folder.path);
    server.serve("/libtorch.zip", { body });
    process.env["LIBTORCH_SHA256"] = sha256(body);
    await assert.rejects(find(folder.path), pattern);
    assert.notEqual(whatIsMissing(localFolder(folder.path)), undefined);
  }
});

const cudaLibrary = { name: "torch/lib/libtorch_cuda.so", content: Buffer.from("cuda") };

test("without the archive, of two builds in an index the one for the processor alone", async () => {
  using folder = temporaryFolder();
  environment(folder.path);
  server.serve("/libtorch.zip", { status: 404 });
  serveWheels({
    "torch-2.13.0-py3-none-any.whl": wheel("2.13.0", [cudaLibrary]),
    "torch-2.13.0+cpu-py3-none-any.whl": wheel("2.13.0+cpu"),
  });
  assert.equal((await find(folder.path)).cuda, false);
  assertWhole(folder.path);
});

test("a CUDA build without its companions is refused, and replaced by the next set-up", async () => {
  using folder = temporaryFolder();
  environment(folder.path);
  server.serve("/libtorch.zip", { status: 404 });
  serveWheels({ "torch-2.13.0-py3-none-any.whl": wheel("2.13.0", [cudaLibrary]) });
  await assert.rejects(find(folder.path), /CUDA build without its companion libraries/);
  serveWheels({ "torch-2.13.0+cpu-py3-none-any.whl": wheel("2.13.0+cpu") });
  const accepted = findLibtorch(folder.path, (_libtorch, loads) => loads, {
    again: true,
    packages: Promise.resolve(),
  });
  assert.equal((await accepted).cuda, false);
  assertWhole(folder.path);
});

test("a wheel whose files are not those of its RECORD", async () => {
  for (const name of ["torch/lib/libtorch_cpu.so", "torch/include/ATen/ATen.h"]) {
    using folder = temporaryFolder();
    environment(folder.path);
    server.serve("/libtorch.zip", { status: 404 });
    const change = (parts: ZipPart[]) => {
      const part = parts.find((candidate) => candidate.name === name);
      if (part) part.content = Buffer.concat([part.content, Buffer.from("!")]);
    };
    serveWheels({ "torch-2.13.0+cpu-py3-none-any.whl": wheel("2.13.0+cpu", [], change) });
    await assert.rejects(find(folder.path), new RegExp(`${name} is not what the wheel's RECORD says`));
    assert.notEqual(whatIsMissing(localFolder(folder.path)), undefined);
  }
});
