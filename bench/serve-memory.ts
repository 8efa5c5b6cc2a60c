/** Resident memory of a server and its engine over many requests; the run is small, so that they are many in little time. */
import { servedPlace } from "../test/support/served.ts";
import { type Figure, ratioFigure } from "./figure.ts";
import { pixelRequest } from "./serve.ts";
import { LoadProcess, ServerProcess } from "./server-process.ts";

/** Side of the images that `servedPlace` trains on, pixels. */
const side = 24;
const connections = 64;

/** @param requests after half as many, in which heaps find their size */
export async function serveMemory(requests: number): Promise<Figure[]> {
  const { routed } = await servedPlace();
  const server = await ServerProcess.start(routed, "--threads", "1");
  const load = new LoadProcess();
  try {
    const ask = { ...pixelRequest(`${server.url}/v2/models/routed/infer`, side), kind: "closed", connections } as const;
    await load.run({ ...ask, until: { requests: requests / 2 } });
    const samples = [server.memory()];
    for (let part = 0; part < 10; part++) {
      const { answered } = await load.run({ ...ask, until: { requests: requests / 10 } });
      if (answered !== requests / 10) throw new Error(`${answered} of ${requests / 10} requests were answered`);
      samples.push(server.memory());
    }
    return ["server", "engine"].map((name, i) => {
      const values = samples.map((pair) => pair[i] ?? 0);
      return ratioFigure(
        `resident memory of the ${name} after ${requests.toLocaleString("en")} requests, ${slope(values, requests).toFixed(1)} kB more a thousand`,
        { what: "MiB", value: values.at(-1) ?? 0 },
        { what: "MiB before", value: values[0] ?? 0 },
        1.05,
        `MiB after each tenth: ${values.map((value) => value.toFixed(0)).join(" ")}`,
      );
    });
  } finally {
    load.stop();
    await server.stop();
  }
}

/** Kilobytes for each thousand requests, of the line that fits the later half of the samples best. */
function slope(values: readonly number[], requests: number): number {
  const late = values.slice(values.length >> 1);
  const middle = (late.length - 1) / 2;
  const mean = late.reduce((a, b) => a + b, 0) / late.length;
  const rise = late.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0);
  const run = late.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  return ((rise / run) * 1024) / (requests / (values.length - 1) / 1000);
}
