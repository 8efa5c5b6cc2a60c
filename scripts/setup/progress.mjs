/** One line of progress a step, on stderr: a spinner on a terminal, plain lines elsewhere. */
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const plainInterval = 5000;

function seconds(since) {
  const elapsed = (Date.now() - since) / 1000;
  return elapsed < 10 ? `${elapsed.toFixed(1)} s` : `${Math.round(elapsed)} s`;
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

/**
 * Shows that `work` is going on, with what `detail` says, and then what came of it.
 * @template T
 * @param {string} label
 * @param {() => Promise<T>} work
 * @param {{ detail?: () => string, done?: (result: T) => string }} options
 * @returns {Promise<T>}
 */
export async function step(label, work, { detail = () => "", done = () => "done" } = {}) {
  const started = Date.now();
  const terminal = process.stderr.isTTY === true;
  let frame = 0;
  const show = () => {
    const text = [label, detail(), seconds(started)].filter((part) => part !== "").join(", ");
    process.stderr.write(terminal ? `\r\x1b[2K${frames[frame++ % frames.length]} ${text}` : `  ${text}\n`);
  };
  if (!terminal) process.stderr.write(`${label} ...\n`);
  const timer = setInterval(show, terminal ? 120 : plainInterval);
  try {
    const result = await work();
    process.stderr.write(`${terminal ? "\r\x1b[2K" : ""}${label}: ${done(result)} (${seconds(started)})\n`);
    return result;
  } catch (error) {
    if (terminal) process.stderr.write("\r\x1b[2K");
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** @param {string} text */
export function note(text) {
  process.stderr.write(`${text}\n`);
}
