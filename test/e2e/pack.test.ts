/**
 * The packed package, installed into an empty folder beside the prebuilt addon, works after `npx hub-pathway setup` on a
 * machine without compiler and Python, and holds every file that its pages refer to.
 */
// Alone: it begins first.
// Long: the package is installed, and every documented command runs in it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { documentedBlocks, repositoryFiles, shortened, writeDocumentedFiles } from "../support/documented-commands.ts";
import { FileServer, serveRepository } from "../support/file-server.ts";
import { ProgramSession } from "../support/program.ts";
import { load } from "../unit/setup/support.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "hub-pathway-pack-"));
const server = await FileServer.start();
/** The installed package, once it is there. */
let installed: ProgramSession | undefined;
after(async () => {
  installed?.stop();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** As in a shell outside the checkout: nothing that npm set for the script which runs the tests. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([key]) => !/^(npm_(package|lifecycle|config_(ignore_scripts|local_prefix))|INIT_CWD|NODE_TEST)/.test(key),
  ),
);

function run(command: string, args: string[], options: { cwd: string; env?: Record<string, string>; code?: number }) {
  const ended = spawnSync(command, args, {
    cwd: options.cwd,
    // npx must find the installed program, and never download one of that name.
    env: { ...environment, npm_config_yes: "false", ...options.env },
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const said = `${command} ${args.join(" ")}: ${ended.error?.message ?? ""}\n${ended.stdout}\n${ended.stderr}`;
  assert.equal(ended.status, options.code ?? 0, said);
  return ended;
}

interface Packed {
  filename: string;
  files: { path: string }[];
}

function pack(...args: string[]): Packed {
  const packed = run("npm", ["pack", "--json", "--pack-destination", folder, ...args], { cwd: root }).stdout;
  // Scripts may print before npm does.
  const answer: unknown = JSON.parse(packed.slice(packed.search(/^[[{]/m)));
  const [archive] = (Array.isArray(answer) ? answer : Object.values(answer as object)) as Packed[];
  assert.ok(archive);
  return archive;
}

const relativeLinks = (text: string) =>
  [...text.matchAll(/\]\(([^)#\s]+)/g)].map((match) => match[1] ?? "").filter((link) => !/^\w+:/.test(link));

function assertComplete(files: readonly string[]): void {
  for (const file of ["dist/cli/main.js", "dist/torch/index.js", "dist/site/page.js", "native/addon.cc", "LICENSE"]) {
    assert.ok(files.includes(file), `${file} is not in the package`);
  }
  assert.deepEqual(
    files.filter(
      (path) =>
        /^(src|test|build|prebuilt|\.libtorch|experiments)\//.test(path) && !/^src\/(pathway|site)\//.test(path),
    ),
    ["src/rl/bridge/gym-server.py"],
  );
  for (const page of files.filter((path) => path.endsWith(".md"))) {
    for (const link of relativeLinks(readFileSync(join(root, page), "utf8"))) {
      const path = posix.join(posix.dirname(page), link);
      const there = files.some((file) => file === path || file.startsWith(`${path.replace(/\/$/, "")}/`));
      assert.ok(there, `${page} refers to ${link}, which is not in the package`);
    }
  }
}

test("the manifest says what a registry shows, and where the package runs", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<string, unknown>;
  for (const field of ["description", "license", "keywords", "engines", "os", "cpu", "files", "bin", "exports"]) {
    assert.ok(manifest[field] !== undefined, field);
  }
  assert.deepEqual(
    [manifest["os"], manifest["cpu"]],
    [
      ["linux", "darwin"],
      ["x64", "arm64"],
    ],
  );
});

test("npm pack, npm install, set-up without a compiler, then the program and the library work", async () => {
  const stamp = JSON.parse(readFileSync(join(root, "build/setup.json"), "utf8")) as { libtorch: { path: string } };
  const home = join(folder, "an empty folder");
  mkdirSync(home);

  // The check "packed package" packs with the types; the JavaScript is the same without them, and is there already.
  const { compiledSources } = await load<{ compiledSources(): Promise<string> }>("scripts/compiled.mjs");
  const compiled = fileURLToPath(await compiledSources());
  rmSync(join(root, "dist"), { recursive: true, force: true });
  cpSync(compiled, join(root, "dist"), { recursive: true, filter: (path) => !path.endsWith("files.json") });
  const archive = pack("--ignore-scripts");
  assertComplete(archive.files.map(({ path }) => path));
  const prebuilt = run(process.execPath, ["scripts/prebuild.mjs", "--out", join(folder, "prebuilt")], { cwd: root });
  const [, addon = ""] = prebuilt.stdout.trim().split("\n");

  writeFileSync(join(home, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const install = ["install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, archive.filename), addon];
  run("npm", install, { cwd: home });

  const program = join(home, "node_modules/.bin/hub-pathway");
  const before = run(program, ["doctor"], { cwd: home, code: 2 });
  assert.match(before.stdout, /builder +@hub-pathway\//);
  assert.match(before.stderr, /npx hub-pathway setup/);

  const setup = [join(home, "node_modules/hub-pathway/bin/hub-pathway.js"), "setup"];
  // No program at all, and a home that cannot be written.
  const bare = { PATH: join(folder, "nothing"), HOME: "/proc", LIBTORCH: stamp.libtorch.path };
  assert.match(run(process.execPath, setup, { cwd: home, env: bare }).stderr, /addon: @hub-pathway\//);
  const again = run(program, ["setup"], { cwd: home });
  assert.equal(again.stdout + again.stderr, "");

  assert.match(run("npx", ["hub-pathway", "--help"], { cwd: home }).stdout, /train/);
  const script = `import { tensor } from "hub-pathway/torch";
console.log(JSON.stringify(tensor([1, 2]).add(tensor([10, 20])).toArray()));\n`;
  writeFileSync(join(home, "sum.js"), script);
  assert.equal(run(process.execPath, ["sum.js"], { cwd: home }).stdout, "[11,22]\n");
  const main = pathToFileURL(join(home, "node_modules/hub-pathway/dist/cli/main.js")).href;
  const places = { HUB_PATHWAY_CACHE: join(folder, "cache"), HF_ENDPOINT: server.origin, HF_HOME: join(folder, "hf") };
  installed = new ProgramSession(main, { ...environment, ...places });
});

test("the package runs every experiment that it lists, and says what the others need", async () => {
  assert.ok(installed, "the package is installed");
  const help = await installed.run(["experiment", "--help"], folder);
  const absent = await installed.run(["experiment", "same-architecture", "--quick"], folder);
  assert.equal(absent.code, 2, absent.stderr);
  assert.match(absent.stderr, /same-architecture needs hubs\/same-architecture, which only the repository has/);
  const list = help.stdout.split("Experiments:")[1]?.split("Example:")[0] ?? "";
  const names = [...list.matchAll(/^ {2}([a-z][\w-]*) /gm)].map(([, name = ""]) => name);
  assert.ok(names.includes("mixed-hub") && !names.includes("same-architecture"), list);
  for (const name of names) {
    // Nothing is computed yet, which each of them says in its way.
    const { code, stdout, stderr } = await installed.run(["experiment", name, "--tables"], folder);
    assert.ok(code === 0 || code === 1, `${name}: ${stdout}${stderr}`);
  }
});

/** A page needs onnxruntime-web; once that was said, by a process of its own that may remember it, it is installed. */
function withoutWebRuntime(args: string[], place: string): void {
  const modules = join(folder, "an empty folder/node_modules");
  const target = join(modules, "onnxruntime-web");
  if (existsSync(target)) return;
  const { stderr } = run(join(modules, ".bin/hub-pathway"), args, { cwd: place, code: 2 });
  assert.match(stderr, /^error: a page needs onnxruntime-web: npm install onnxruntime-web, and export again\n$/);
  symlinkSync(join(root, "node_modules/onnxruntime-web"), target);
}

test("every command line of README and docs runs in the installed package", async () => {
  assert.ok(installed, "the package is installed");
  const files = join(folder, "files");
  mkdirSync(files);
  await writeDocumentedFiles(files);
  for (const revision of ["main", "revision"]) {
    serveRepository(server, "owner/name", repositoryFiles(folder), { revision });
  }
  let count = 0;
  for (const [i, { page, commands }] of documentedBlocks().entries()) {
    const place = join(folder, `block-${i}`);
    cpSync(files, place, { recursive: true });
    const done = new Set<string>();
    for (const { line, args } of commands) {
      const short = shortened(args);
      // With --check, lines that serve and that check are the same.
      const same = [...new Set(short?.args)].join(" ");
      if (!short || done.has(same)) continue;
      done.add(same);
      if (args.includes("--web")) withoutWebRuntime(short.args, place);
      const { code, stdout, stderr } = await installed.run(short.args, place);
      assert.equal(code, short.code, `${page}:${line}: ${args.join(" ")}\n${stdout}${stderr}`);
      if (short.says) assert.match(stdout + stderr, short.says);
      count += 1;
    }
  }
  assert.ok(count > 25, `${count} commands`);
});
