/** Runs test files one after the other in this process, each in the environment that the first one found. */
import { readFileSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Name of the test that ends a file; reports leave it out. */
export const endOfFile = "(end of the file)";

/** Stands before and after a file's address on standard output, where the file begins. */
export const mark = "\u0001file\u0001";

/** Tensors that a file leaves to the collector would go while the next one counts its own. */
async function collect(gc) {
  gc();
  // What the collector found is released in tasks.
  for (let i = 0; i < 3; i++) await turn();
}

/** Whether a file counts live tensors or open files. */
const counts = (url) => /handles|assertNoLeak|support\/refusal/.test(readFileSync(new URL(url), "utf8"));

/** Milliseconds after which the next file begins although a hook of the last one is not done. */
const patience = 60_000;

/**
 * Waits for the end of the file's tests and its own "after" hooks, which the runner calls whenever no test is left: those of the next file
 * must not be among them.
 */
async function ended() {
  const hooks = new Promise((resolve) => after(resolve));
  // Tests run in their order, so that this one's end is that of the whole file.
  await test(endOfFile, () => {});
  const waiting = new AbortController();
  await Promise.race([hooks, pause(patience, undefined, { signal: waiting.signal }).catch(() => {})]);
  waiting.abort();
}

/** Whether this process is the first that asks for a file. */
function claim(folder, number) {
  try {
    writeFileSync(new URL(`${number}.claim`, folder), "", { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    return false;
  }
}

/**
 * @param {string[]} urls
 * @param {string} folder address where processes claim files
 * @param {boolean} isLast takes them from the last one
 */
export async function runTogether(urls, folder, isLast) {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc");
  // Each file has temporary folders that go with the process.
  process.setMaxListeners(0);
  const [environment, start] = [{ ...process.env }, process.cwd()];
  const places = [...urls.keys()];
  for (const place of isLast ? places.reverse() : places) {
    if (!claim(folder, place)) break;
    const url = urls[place];
    process.stdout.write(`${mark}${url}${mark}`);
    // Collecting takes longer than the tests of many files.
    if (counts(url)) await collect(gc);
    await import(url).catch((error) => test(`${url} loads`, () => Promise.reject(error)));
    await ended();
    for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
    Object.assign(process.env, environment);
    process.chdir(start);
  }
}
