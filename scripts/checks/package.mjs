/** The packed package as publint and Are the Types Wrong see it. */
import { readFileSync } from "node:fs";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

/** As the profile "esm-only": whoever uses require, or the resolution of Node 10, is not served. */
const served = ({ resolutionKind, resolutionOption }) =>
  !["node10", "node16-cjs"].includes(resolutionKind ?? resolutionOption);

/** @returns {Promise<string[]>} @param tarball path of what `npm pack` made */
export async function checkTarball(tarball) {
  const bytes = new Uint8Array(readFileSync(tarball));
  const { messages, pkg } = await publint({ strict: true, pack: { tarball: bytes.buffer } });
  const analysis = await checkPackage(createPackageFromTarballData(bytes));
  const wrong = analysis.types ? analysis.problems.filter(served) : [{ kind: "the package has no types" }];
  return [
    ...messages.map((message) => `publint: ${formatMessage(message, pkg)}`),
    ...wrong.map((problem) => `types: ${JSON.stringify(problem)}`),
  ];
}
