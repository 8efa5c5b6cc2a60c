/** Fixtures of one kind that lie in one archive. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./small-hub.ts";

/** A folder with the files of test/fixtures/NAME.tar.gz, which goes when the process ends. */
export function unpackedFixtures(name: "onnx" | "published" | "torch-archive" | "wrappers"): string {
  const folder = temporaryFolder();
  const archive = fileURLToPath(new URL(`../fixtures/${name}.tar.gz`, import.meta.url));
  execFileSync("tar", ["-xzf", archive, "-C", folder]);
  return folder;
}
