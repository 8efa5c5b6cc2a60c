/** Runs the files of examples/ one after the other in one process, on small images and a small hub: `examples-driver.ts FOLDER RUNS`. */
import { join } from "node:path";
import { writeOnnx } from "./onnx-file.ts";
import { writeShapeImages, writeSmallHub } from "./small-hub.ts";

const [folder = "", runs = "[]"] = process.argv.slice(2);
await writeShapeImages(folder, 8);
writeSmallHub(folder);
writeOnnx(join(folder, "net.onnx"));
process.chdir(folder);
for (const [name = "", ...args] of JSON.parse(runs) as string[][]) {
  console.log(`\n== ${name}`);
  process.argv.splice(2, Number.POSITIVE_INFINITY, ...args);
  await import(`../../examples/${name}.ts`);
}
