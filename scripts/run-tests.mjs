/**
 * Runs the tests: `node scripts/run-tests.mjs [part of a file name ...] [--long] [--slowest N]`. Files that say "Long: " run
 * with --long, which runs no others, or by their names.
 * Two processes at a time, with one OpenMP thread each, so that results do not depend on load.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";
import { join, relative } from "node:path";
import { run } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect, parseArgs } from "node:util";
import { endOfFile, mark } from "./run-together.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const processTimeout = 60 * 60 * 1000;

/** Bytes of memory that temporary files may need, and the rest of the machine. */
const room = 8 * 2 ** 30;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    long: { type: "boolean", default: false },
    slowest: { type: "string", default: "5" },
    help: { type: "boolean", short: "h", default: false },
  },
});

const says = (path, word) => new RegExp(`^// ${word}: `, "m").test(readFileSync(join(root, path), "utf8"));

function collect() {
  const files = readdirSync(join(root, "test"), { recursive: true }).filter((file) => file.endsWith(".test.ts"));
  const paths = files.map((file) => join("test", file)).sort();
  if (positionals.length > 0) return paths.filter((path) => positionals.some((part) => path.includes(part)));
  return paths.filter((path) => says(path, "Long") === values.long);
}

/**
 * What the processes run: files that are alone, then two programs in a folder that share all others. One takes them from the first,
 * the other from the last, until they meet: a start takes longer than the tests of most files.
 */
function entriesOf(paths, folder) {
  const alone = paths.filter((path) => says(path, "Alone"));
  const shared = paths.filter((path) => !alone.includes(path)).map((path) => pathToFileURL(join(root, path)).href);
  const programs = [false, true].slice(0, shared.length).map((isLast) => {
    const entry = join(folder, isLast ? "from-last.mjs" : "from-first.mjs");
    const values = [shared, `${pathToFileURL(folder)}/`, isLast].map((value) => JSON.stringify(value)).join(", ");
    const call = `await runTogether(${values});\n`;
    writeFileSync(entry, `import { runTogether } from "../../scripts/run-together.mjs";\n${call}`);
    return entry;
  });
  return [...alone.map((path) => join(root, path)), ...programs];
}

/** A folder in memory, where no test waits for a disk; undefined where there is too little room, or programs may not run in it. */
function memoryFolder() {
  const place = "/dev/shm";
  try {
    const mount = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .find((line) => line.split(" ")[1] === place);
    const { bavail, bsize } = statfsSync(place);
    if (!mount || /\bnoexec\b/.test(mount) || Math.min(bavail * bsize, freemem()) < room) return undefined;
    return mkdtempSync(`${place}/tests-`);
  } catch {
    return undefined;
  }
}

/** Has temporary files made in memory, and removed at the end however it comes. */
function useMemory() {
  const folder = process.env.TMPDIR === undefined ? memoryFolder() : undefined;
  if (folder === undefined) return;
  process.env.TMPDIR = folder;
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
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
  /** @type {Map<string, { passed: number, failed: number, skipped: number, milliseconds: number }>} */
  files = new Map();
  /** @type {Map<string, string>} What was written while each file ran. */
  output = new Map();
  /** @type {Map<string, string>} The file that each process has come to. */
  places = new Map();
  failures = [];
  /** Results come in file by file: a file is done when another one's first result arrives. */
  current = undefined;

  said({ file: process, message }) {
    for (const [i, part] of message.split(mark).entries()) {
      if (i % 2 === 1) {
        this.places.set(process, relative(root, fileURLToPath(part)));
        continue;
      }
      const name = this.places.get(process) ?? relative(root, process);
      this.output.set(name, (this.output.get(name) ?? "") + part);
    }
  }

  file(path) {
    const name = path === undefined ? "(unknown file)" : relative(root, path);
    if (!this.files.has(name)) {
      this.files.set(name, { passed: 0, failed: 0, skipped: 0, milliseconds: 0 });
    }
    return { name, entry: this.files.get(name) };
  }

  /** A suite's or a whole file's own result only repeats what its tests said, unless nothing inside failed. */
  ended(data, ok) {
    if (data.name === endOfFile) return;
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
    // A process that ended in the middle of a file.
    const stopped = [...this.places].filter(([process]) => this.files.get(relative(root, process))?.failed > 0);
    const failed = new Set(stopped.map(([, name]) => name));
    for (const [name, { failed: count }] of this.files) if (count > 0) failed.add(name);
    for (const [name, text] of this.output) {
      if (failed.has(name) && text.trim() !== "") console.log(`\noutput of ${name}:\n${text.trimEnd()}`);
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
    console.log("Usage: node scripts/run-tests.mjs [part of a file name ...] [--long] [--slowest N]");
    return 0;
  }
  const files = collect();
  if (files.length === 0) {
    console.error(`no test file under test/ has ${positionals.join(" or ") || ".test.ts"} in its name`);
    return 1;
  }
  process.env.OMP_NUM_THREADS = "1";
  // Tensors of tests come and go: with huge pages, large ones have a fifth of the page faults.
  process.env.GLIBC_TUNABLES ??= "glibc.malloc.hugetlb=1";
  useMemory();
  // Test processes inherit these arguments: they read TypeScript.
  process.execArgv.push("--import", import.meta.resolve("./typescript.mjs"));
  const started = performance.now();
  mkdirSync(join(root, "build"), { recursive: true });
  const folder = mkdtempSync(join(root, "build", "tests-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const report = new Report();
  const stream = run({
    files: entriesOf(files, folder),
    concurrency: 2,
    timeout: processTimeout,
  });
  stream.on("test:pass", (data) => report.ended(data, true));
  stream.on("test:fail", (data) => report.ended(data, false));
  for (const event of ["test:stdout", "test:stderr"]) {
    stream.on(event, (data) => report.said(data));
  }
  stream.resume();
  await new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  return report.print(started, Number(values.slowest)) ? 0 : 1;
}

process.exitCode = await main();
