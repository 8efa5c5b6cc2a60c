/**
 * Runs the tests: `node scripts/run-tests.mjs [part of a file name ...] [--slowest N]`.
 * Each file runs in a process of its own, two at a time, with one OpenMP thread, so that results do not depend on load.
 */
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect, parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const fileTimeout = 30 * 60 * 1000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { slowest: { type: "string", default: "5" }, help: { type: "boolean", short: "h", default: false } },
});

function collect() {
  const files = readdirSync(join(root, "test"), { recursive: true }).filter((file) => file.endsWith(".test.ts"));
  const paths = files.map((file) => join("test", file)).sort();
  return positionals.length === 0 ? paths : paths.filter((path) => positionals.some((part) => path.includes(part)));
}

function milliseconds(duration) {
  return duration < 1000 ? `${Math.round(duration)} ms` : `${(duration / 1000).toFixed(1)} s`;
}

/** Description of an error, without the frames of the test runner itself. */
function explain(error) {
  if (error?.exitCode !== undefined || error?.signal) {
    const ending = error.signal ? `was ended by ${error.signal}` : `ended with exit code ${error.exitCode}`;
    return `      the test file's process ${ending}; its output is above`;
  }
  const cause = error?.cause ?? error;
  const text = typeof cause === "string" ? cause : (cause?.stack ?? inspect(cause));
  const lines = text.split("\n").filter((line) => !/^\s+at .*(node:internal|node:test)/.test(line));
  return lines
    .slice(0, 40)
    .map((line) => `      ${line}`)
    .join("\n");
}

class Report {
  /** @type {Map<string, { passed: number, failed: number, skipped: number, milliseconds: number, output: string[] }>} */
  files = new Map();
  failures = [];
  /** Results come in file by file: a file is done when another one's first result arrives. */
  current = undefined;

  file(path) {
    const name = path === undefined ? "(unknown file)" : relative(root, path);
    if (!this.files.has(name)) {
      this.files.set(name, { passed: 0, failed: 0, skipped: 0, milliseconds: 0, output: [] });
    }
    return { name, entry: this.files.get(name) };
  }

  /** A suite's or a whole file's own result only repeats what its tests said, unless nothing inside failed. */
  ended(data, ok) {
    const { name, entry } = this.file(data.file);
    if (this.current !== name) this.printFile();
    this.current = name;
    const isSuite = data.details?.type === "suite";
    const repeats = data.details?.error?.failureType === "subtestsFailed";
    if (data.nesting === 0) entry.milliseconds += data.details?.duration_ms ?? 0;
    if (data.skip !== undefined || data.todo !== undefined) entry.skipped++;
    else if (ok && !isSuite) entry.passed++;
    else if (!ok && !repeats) {
      entry.failed++;
      const test = data.name === data.file ? "the file" : data.name;
      this.failures.push({ file: name, test, error: data.details?.error });
    }
  }

  printFile() {
    const entry = this.files.get(this.current);
    if (entry === undefined) return;
    const mark = entry.failed > 0 ? "FAILED" : "ok";
    const failed = entry.failed > 0 ? `${entry.failed} of ` : "";
    const tests = `${failed}${entry.passed + entry.failed} tests`;
    console.log(`${mark.padEnd(7)}${this.current} (${tests}, ${milliseconds(entry.milliseconds)})`);
  }

  print(started, slowest) {
    this.printFile();
    for (const [name, entry] of this.files) {
      if (entry.failed > 0 && entry.output.length > 0)
        console.log(`\noutput of ${name}:\n${entry.output.join("").trimEnd()}`);
    }
    for (const { file, test, error } of this.failures) {
      console.log(`\n  ${file} > ${test}\n${explain(error)}`);
    }
    const entries = [...this.files].sort(([, a], [, b]) => b.milliseconds - a.milliseconds);
    if (slowest > 0 && entries.length > slowest) {
      const shown = entries.slice(0, slowest).map(([name, entry]) => `${name} ${milliseconds(entry.milliseconds)}`);
      console.log(`\nslowest: ${shown.join(", ")}`);
    }
    const sum = (field) => entries.reduce((total, [, entry]) => total + entry[field], 0);
    const skipped = sum("skipped") > 0 ? `, ${sum("skipped")} skipped` : "";
    const counts = `${sum("passed")} passed, ${sum("failed")} failed${skipped}`;
    console.log(`\n${counts} in ${this.files.size} files, ${milliseconds(performance.now() - started)}`);
    return sum("failed") === 0 && sum("passed") > 0;
  }
}

async function main() {
  if (values.help) {
    console.log("Usage: node scripts/run-tests.mjs [part of a file name ...] [--slowest N]");
    return 0;
  }
  const files = collect();
  if (files.length === 0) {
    console.error(`no test file under test/ has ${positionals.join(" or ") || ".test.ts"} in its name`);
    return 1;
  }
  process.env.OMP_NUM_THREADS = "1";
  // Test processes inherit these arguments: they read TypeScript.
  process.execArgv.push("--import", import.meta.resolve("./typescript.mjs"));
  const started = performance.now();
  const report = new Report();
  const stream = run({ files: files.map((file) => join(root, file)), concurrency: 2, timeout: fileTimeout });
  stream.on("test:pass", (data) => report.ended(data, true));
  stream.on("test:fail", (data) => report.ended(data, false));
  for (const event of ["test:stdout", "test:stderr"]) {
    stream.on(event, (data) => report.file(data.file).entry.output.push(data.message));
  }
  stream.resume();
  await new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  return report.print(started, Number(values.slowest)) ? 0 : 1;
}

process.exitCode = await main();
