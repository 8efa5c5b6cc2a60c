/** Command lines that work when they are pasted. */
import { basename, join, relative } from "node:path";
import { shellQuoted } from "../io/quoted.ts";

/** The program as the user started it. */
export function programName(): string {
  const script = process.argv[1] ?? "hub-pathway";
  const isInstalled = script.endsWith(join("node_modules", ".bin", "hub-pathway"));
  if (isInstalled || process.env["npm_command"] === "exec") return "npx hub-pathway";
  if (basename(script) === "hub-pathway") return "hub-pathway";
  return `node ${shellQuoted(relative(process.cwd(), script))}`;
}

/** A command line that works when pasted. */
export function commandLine(...words: readonly string[]): string {
  return [programName(), ...words.map(shellQuoted)].join(" ");
}
