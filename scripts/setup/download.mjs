/** Gets libtorch out of the Python package, by pip: it knows the mirrors, proxies and caches of this machine. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { SetupFailure } from "./failure.mjs";
import { run, tail, withoutNpmSettings } from "./processes.mjs";
import { megabytes, step } from "./progress.mjs";
import { checkPip } from "./toolchain.mjs";

/** Where a downloaded libtorch lies. */
export function localFolder(root) {
  return join(root, ".libtorch", "torch");
}

/** Wheels for these Pythons hold the same libtorch; they are asked for when there is none for the one at hand. */
const otherPythons = ["3.12", "3.11", "3.13", "3.10"];

function folderBytes(folder) {
  let total = 0;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
      if (entry.isFile()) total += statSync(join(entry.parentPath ?? entry.path, entry.name)).size;
    }
  } catch {
    // Files come and go while pip works; the next look counts again.
  }
  return total;
}

/** Counting 10,000 files takes a while, so the size is looked up once a second at most. */
function sizeWatcher(folders) {
  let bytes = 0;
  let next = 0;
  return () => {
    if (Date.now() >= next) {
      bytes = folders.reduce((sum, folder) => sum + folderBytes(folder), 0);
      next = Date.now() + 1000;
    }
    return bytes === 0 ? "pip is asking its sources" : `pip is downloading, ${megabytes(bytes)} so far`;
  };
}

function failure(root, version, output) {
  const errors = output.split("\n").filter((line) => /^\s*ERROR|No space left/i.test(line));
  const said = errors.length > 0 ? errors.join("\n") : output;
  const details = {
    lookedFor: `the Python package torch==${version} for this machine`,
    where: "pip's sources, which PIP_INDEX_URL, PIP_FIND_LINKS or `python3 -m pip config list` name",
  };
  if (/No space left/i.test(output)) {
    return new SetupFailure(`the disk is full: libtorch takes about 1 GB\n${tail(said, 2)}`, {
      ...details,
      where: join(root, ".libtorch"),
      command: `df -h ${root}, free some space, then npx hub-pathway setup`,
    });
  }
  const unreachable = /Retrying|Max retries|Connection|Temporary failure|timed out/i.test(output);
  return new SetupFailure(
    `pip could not get libtorch${unreachable ? ", its sources do not answer" : ""}:\n${tail(said, 3)}`,
    {
      ...details,
      command: `LIBTORCH=/folder/of/libtorch-${version} npx hub-pathway setup`,
    },
  );
}

/** Installs torch's files into ROOT/.libtorch/torch, all or nothing. */
export async function downloadLibtorch(root, version) {
  await checkPip();
  const home = join(root, ".libtorch");
  const target = join(home, "partial");
  const temporary = join(home, "tmp");
  for (const folder of [target, temporary]) rmSync(folder, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  const base = ["-m", "pip", "install", "--no-deps", "--no-compile", "--no-input", "--disable-pip-version-check"];
  const env = { ...withoutNpmSettings(), TMPDIR: temporary };
  const install = (...more) =>
    run("python3", [...base, "--progress-bar", "off", ...more, "--target", target, `torch==${version}`], { env });
  const work = async () => {
    let result = await install();
    if (
      result.code !== 0 &&
      /No matching distribution/.test(result.output) &&
      !/Retrying|Connection/.test(result.output)
    ) {
      for (const python of otherPythons) {
        const other = await install("--only-binary=:all:", "--python-version", python, "--implementation", "cp");
        if (other.code === 0) result = other;
        if (other.code === 0) break;
      }
    }
    if (result.code !== 0) throw failure(root, version, result.output);
    rmSync(localFolder(root), { recursive: true, force: true });
    for (const name of readdirSync(target)) {
      const destination = join(home, name);
      if (existsSync(destination)) rmSync(destination, { recursive: true, force: true });
      renameSync(join(target, name), destination);
    }
  };
  try {
    await step(`libtorch ${version}`, work, {
      detail: sizeWatcher([target, temporary]),
      done: () => `${megabytes(folderBytes(localFolder(root)))} in ${localFolder(root)}`,
    });
  } finally {
    for (const folder of [target, temporary]) rmSync(folder, { recursive: true, force: true });
  }
}
