/** hub-pathway export and verify: a finished run as files that answer with nothing but an ONNX runtime. */
import { type SelfTestResult, verifyBundle, writeBundle } from "../export/index.ts";
import { counted } from "../io/index.ts";
import type { Output } from "./context.ts";
import { type OpenFlags, openFinished } from "./eval-command.ts";

export interface ExportFlags extends OpenFlags {
  out: string;
}

export async function exportRun(path: string, flags: ExportFlags, output: Output): Promise<void> {
  const run = openFinished(path, flags);
  try {
    const bundle = writeBundle(run, flags.out);
    const bytes = Object.values(bundle.files).reduce((sum, file) => sum + file.bytes, 0);
    const members = bundle.members.map(({ name }) => name);
    output.say(
      `${flags.out} has ${counted(members.length, "model")}${bundle.router ? " and a router" : ""}, ${(bytes / 1e6).toFixed(1)} MB`,
    );
    output.say(`compare its answers with the run's: hub-pathway verify ${flags.out}`);
    output.result({ out: flags.out, members, k: bundle.k, bytes });
  } finally {
    run.dispose();
  }
}

export async function verify(folder: string, output: Output): Promise<void> {
  const { bundle, selfTest } = await verifyBundle(folder);
  const files = Object.keys(bundle.files).length;
  output.say(`${counted(files, "file")} are those that were exported`);
  output.say(selfTest ? spoken(selfTest) : "the self-test was not run: npm install onnxruntime-node, and verify again");
  output.result({ files, selfTest: selfTest ?? null });
}

function spoken({ images, scores, probabilities }: SelfTestResult): string {
  return (
    `${images} images have the run's answers: largest difference ${scores.toExponential(1)} of scores, ` +
    `${probabilities.toExponential(1)} of probabilities`
  );
}
