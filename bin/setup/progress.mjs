/** One line of progress a step, on stderr: a spinner on a terminal, plain lines elsewhere. */
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const plainInterval = 5000;
const terminal = process.stderr.isTTY === true;

function seconds(since) {
  const elapsed = (Date.now() - since) / 1000;
  return elapsed < 10 ? `${elapsed.toFixed(1)} s` : `${Math.round(elapsed)} s`;
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** Steps at work, in the order of their beginning, with what each says of itself. @type {Map<string, () => string>} */
const active = new Map();
let timer;
let frame = 0;

function show() {
  const lines = [...active].map(([label, text]) => `${label}, ${text()}`);
  if (!terminal) process.stderr.write(lines.map((line) => `  ${line}\n`).join(""));
  else process.stderr.write(`\r\x1b[2K${frames[frame++ % frames.length]} ${lines.join("; ")}`);
}

/** Writes a whole line, above the one that changes. */
function write(text) {
  process.stderr.write(`${terminal && active.size > 0 ? "\r\x1b[2K" : ""}${text}\n`);
}

/**
 * Shows that `work` is going on, with what `detail` says, and then what came of it. Steps may go on at once.
 * @template T
 * @param {string} label
 * @param {() => Promise<T>} work
 * @param {{ detail?: () => string, done?: (result: T) => string }} options
 * @returns {Promise<T>}
 */
export async function step(label, work, { detail = () => "", done = () => "done" } = {}) {
  const started = Date.now();
  if (!terminal) write(`${label} ...`);
  active.set(label, () => [detail(), seconds(started)].filter((part) => part !== "").join(", "));
  timer ??= setInterval(show, terminal ? 120 : plainInterval);
  let ending;
  try {
    const result = await work();
    ending = `${label}: ${done(result)} (${seconds(started)})`;
    return result;
  } finally {
    if (ending !== undefined) write(ending);
    else if (terminal) process.stderr.write("\r\x1b[2K");
    active.delete(label);
    if (active.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  }
}

/** @param {string} text */
export function note(text) {
  write(text);
}
