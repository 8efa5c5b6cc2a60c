/** Child processes of the set-up: output collected, never inherited, and ended with us. */
import { spawn } from "node:child_process";

const running = new Set();

/** Ends every child that is still running; for the moment when we are told to stop ourselves. */
export function endChildren() {
  for (const child of running) child.kill("SIGTERM");
}

/**
 * Runs a program to its end. A program that is not there ends with code 127.
 * @param {string} command @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<{ code: number, stdout: string, stderr: string, output: string }>}
 */
export function run(command, args, { cwd, env = process.env } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const result = { code: 127, stdout: "", stderr: "", output: "" };
    running.add(child);
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8").on("data", (text) => {
        result[stream] += text;
        result.output += text;
      });
    }
    child.on("error", (error) => {
      running.delete(child);
      result.stderr ||= error.message;
      resolve(result);
    });
    child.on("close", (code, signal) => {
      running.delete(child);
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

/** Environment without npm's own settings, which node-gyp and pip would take for theirs. */
export function withoutNpmSettings(env = process.env) {
  return Object.fromEntries(Object.entries(env).filter(([key]) => !/^npm_(config|package)_/i.test(key)));
}
