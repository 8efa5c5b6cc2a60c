/** Members that bring their own networks: a graph and a program. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "../../src/graphs/onnx/onnx-pb.generated.ts";
import { addMember } from "../../src/hub/index.ts";
import { model } from "../fixtures/onnx/builder.ts";
import { weights } from "./onnx-agreement.ts";

/** Adds "graph", one convolution as ONNX, and "program", a TorchScript file, to a hub. @param folder a place for the graph's file */
export async function addGraphAndProgram(hub: string, folder: string): Promise<void> {
  const net = join(mkdtempSync(join(folder, "net-")), "net.onnx");
  const nodes = [
    { op: "Conv", inputs: ["image", "w"], outputs: ["c"] },
    { op: "Relu", inputs: ["c"], outputs: ["r"] },
    { op: "GlobalAveragePool", inputs: ["r"], outputs: ["p"] },
    { op: "Flatten", inputs: ["p"], outputs: ["pooled"] },
  ];
  const initializers = [weights("w", [8, 3, 3, 3])];
  const graph = model({ nodes, outputs: ["pooled"], initializers, input: ["n", 3, 24, 24] });
  writeFileSync(net, toBinary(ModelProtoSchema, graph));
  const input = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  const wishes = { input, data: "none", paradigm: "none", licence: "test" };
  await addMember({ hub, name: "graph", source: net, wishes });
  const program = new URL("../fixtures/torch-script/pooled.pt", import.meta.url).pathname;
  const sized = { ...wishes, input: { ...input, size: 24 } };
  await addMember({ hub, name: "program", source: program, wishes: sized, trust: true });
}
