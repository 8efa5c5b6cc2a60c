/** The packed package, installed into an empty folder, works after `npx hub-pathway setup`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "hub-pathway-pack-"));
after(() => rmSync(folder, { recursive: true, force: true }));

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

test("npm pack, npm install, npx hub-pathway setup, then the program and the library work", () => {
  const stamp = JSON.parse(readFileSync(join(root, "build/setup.json"), "utf8")) as { libtorch: { path: string } };
  const home = join(folder, "empty");
  mkdirSync(home);

  const packing = ["pack", "--ignore-scripts=false", "--json", "--pack-destination", folder];
  const packed = run("npm", packing, { cwd: root }).stdout;
  // Scripts may print before npm does.
  const answer: unknown = JSON.parse(packed.slice(packed.search(/^[[{]/m)));
  const [archive] = (Array.isArray(answer) ? answer : Object.values(answer as object)) as {
    filename: string;
    files: { path: string }[];
  }[];
  assert.ok(archive);
  const files = archive.files.map(({ path }) => path);
  for (const file of ["dist/cli/main.js", "dist/torch/index.d.ts", "native/addon.cc", "binding.gyp", "LICENSE"]) {
    assert.ok(files.includes(file), `${file} is not in the package`);
  }
  assert.deepEqual(
    files.filter((path) => /^(src|test|build|\.libtorch|experiments)\//.test(path)),
    ["src/rl/bridge/gym-server.py"],
  );

  writeFileSync(join(home, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const install = ["install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, archive.filename)];
  run("npm", install, { cwd: home });

  const before = run("npx", ["hub-pathway", "doctor"], { cwd: home, code: 2 });
  assert.match(before.stderr, /npx hub-pathway setup/);

  run("npx", ["hub-pathway", "setup"], { cwd: home, env: { LIBTORCH: stamp.libtorch.path } });
  const again = run("npx", ["hub-pathway", "setup"], { cwd: home });
  assert.equal(again.stdout + again.stderr.replaceAll(/^npm (warn|notice).*\n/gm, ""), "");

  assert.match(run("npx", ["hub-pathway", "--help"], { cwd: home }).stdout, /train/);
  const script = `import { tensor } from "hub-pathway/torch";
console.log(JSON.stringify(tensor([1, 2]).add(tensor([10, 20])).toArray()));\n`;
  writeFileSync(join(home, "sum.js"), script);
  assert.equal(run(process.execPath, ["sum.js"], { cwd: home }).stdout, "[11,22]\n");
});
