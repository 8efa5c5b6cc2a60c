/** Shared parts of the tests of the set-up: its modules with their types, and a package folder in which to run it. */
import { spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** The set-up is plain JavaScript, which the compiler does not read: a test states the types that it relies on. */
export async function load<T>(script: string): Promise<T> {
  return (await import(join(root, script))) as T;
}

export function temporaryFolder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "hub-pathway-setup-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** An installed package as the set-up sees it: no lockfile, compiled files, native sources, no addon. */
export function packageFolder(path: string): string {
  for (const part of ["bin", "native", "package.json"]) {
    cpSync(join(root, part), join(path, part), { recursive: true });
  }
  mkdirSync(join(path, "dist/cli"), { recursive: true });
  writeFileSync(join(path, "dist/cli/main.js"), 'import "hub-pathway-package-that-is-not-there";\n');
  return path;
}

/** A folder with nothing on the path but these programs, each a line of shell. */
export function programs(path: string, scripts: Record<string, string>): string {
  mkdirSync(path, { recursive: true });
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(path, name), 0o755);
  }
  return path;
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export function runNode(args: readonly string[], env: Record<string, string>): Promise<Ended> {
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended: Ended = { code: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    ended.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    ended.stderr += text;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ ...ended, code })));
}
