/** Child processes of the set-up: output collected, never inherited, and ended with us. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Aborted when the set-up ends before its work is done: then its downloads and children end too. */
export const stopping = new AbortController();

/**
 * Runs a program to its end. A program that is not there ends with code 127.
 * @param {string} command @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, input?: string }} options `input`: its standard input
 * @returns {Promise<{ code: number, stdout: string, stderr: string, output: string }>}
 */
export function run(command, args, { cwd, env = process.env, input = "" } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: "pipe", signal: stopping.signal });
    const result = { code: 127, stdout: "", stderr: "", output: "" };
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8").on("data", (text) => {
        result[stream] += text;
        result.output += text;
      });
    }
    child.stdin.on("error", () => {}); // It need not read its input.
    child.stdin.end(input);
    child.on("error", (error) => {
      result.stderr ||= error.message;
      resolve(result);
    });
    child.on("close", (code, signal) => {
      result.code = code ?? (signal ? 128 : 1);
      resolve(result);
    });
  });
}

/** The last lines of a program's output that say something, indented for a message. */
export function tail(text, count = 8) {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(-count)
    .map((line) => `    ${line.slice(0, 300)}`)
    .join("\n");
}

/** Environment without npm's own settings, which pip and compilers would take for theirs. */
export function withoutNpmSettings(env = process.env) {
  return Object.fromEntries(Object.entries(env).filter(([key]) => !/^npm_(config|package)_/i.test(key)));
}

/** A setting for a cache below `folder`, for a program that keeps its own at home, where nothing can be written. */
export function privateCache(variable, folder) {
  try {
    // Permissions do not always show whether a file system can be written: only trying does.
    if (!process.env[variable]) rmdirSync(mkdtempSync(join(homedir(), ".hub-pathway-")));
    return {};
  } catch {
    return { [variable]: join(folder, "cache") };
  }
}
