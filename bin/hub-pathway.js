#!/usr/bin/env node
// The program's entry. `setup`, `--version` and a first `doctor` need nothing but Node; everything else runs the
// TypeScript sources in a checkout and the compiled files in an installed package.
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2);

function isCheckout() {
  return existsSync(`${root}src/cli/main.ts`) && !root.includes(`${sep}node_modules${sep}`);
}

async function importMain() {
  if (!isCheckout()) return import("../dist/cli/main.js");
  const { compiledSources } = await import("../scripts/compiled.mjs");
  const compiled = await compiledSources();
  if (compiled !== undefined) return import(`${compiled}cli/main.js`);
  await import("../scripts/typescript.mjs");
  return import("../src/cli/main.ts");
}

const help = `Usage: hub-pathway [options] [command]

Transfer learning from a hub of pre-trained models

  hub-pathway setup    get npm packages, libtorch and the addon: the first step
  hub-pathway doctor   say what is missing

After set-up, \`hub-pathway --help\` lists all commands.`;

/** In a checkout without its packages, or before the addon is made. */
function setupIsMissing(error) {
  if (!existsSync(`${root}build/Release/hub_pathway.node`)) return true;
  return error?.code === "ERR_MODULE_NOT_FOUND" && /Cannot find package/.test(String(error.message));
}

/** Errors that reach this file come from loading the program: its commands report their own. */
function report(error) {
  if (args.includes("--debug")) console.error(error);
  if (setupIsMissing(error) && args.some((arg) => ["--help", "-h", "help"].includes(arg))) {
    console.log(help);
    return 0;
  }
  if (setupIsMissing(error)) {
    console.error("hub-pathway is not set up yet: run `npx hub-pathway setup`");
    return 2;
  }
  const message = error instanceof Error ? error.message : String(error);
  if (Number.isInteger(error?.exitCode)) {
    console.error(`hub-pathway: ${message}`);
    return error.exitCode;
  }
  console.error(`hub-pathway: internal error: ${message} (run again with --debug for the stack trace)`);
  return 70;
}

/** Whoever reads our output may stop, as `head` does: the end of the program, and no error of ours. */
function endWithReader() {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      // A terminal that was lost: what was started still ends as it should.
      if (error.code === "EIO") return;
      if (error.code !== "EPIPE") throw error;
      process.exit(128 + constants.signals.SIGPIPE);
    });
  }
}

async function start() {
  endWithReader();
  const command = args.findIndex((arg) => !arg.startsWith("-"));
  if (args[command] === "setup") {
    const { main } = await import("./setup/main.mjs");
    return main(args.filter((_, i) => i !== command));
  }
  if (args[command] === "doctor" && !args.includes("--help")) {
    const { diagnose } = await import("./setup/doctor.mjs");
    const code = await diagnose(args.includes("--json"));
    if (code !== undefined) return code;
  }
  if (command < 0 && args.some((arg) => arg === "--version" || arg === "-V")) {
    console.log(JSON.parse(readFileSync(`${root}package.json`, "utf8")).version);
    return 0;
  }
  const program = await importMain();
  process.on("uncaughtException", (error) => process.exit(program.report(error, args)));
  process.on("exit", program.answerAtEnd);
  return program.main(args);
}

try {
  process.exitCode = await start();
} catch (error) {
  process.exitCode = report(error);
}
