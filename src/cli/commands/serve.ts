/** Options of `hub-pathway serve`. */
import type { Command } from "commander";
import { z } from "zod";
import type { Output } from "../context.ts";
import {
  addRejection,
  bytes,
  count,
  deviceHelp,
  hubMemoryHelp,
  positive,
  probability,
  threads,
  trustHelp,
} from "../flags.ts";
import type { ServeFlags } from "../serve-command.ts";
import { reader } from "../settings.ts";

const port = reader(z.int().min(0).max(65_535));
const milliseconds = reader(z.number().min(0).max(60_000));
const deadline = reader(z.int().min(10).max(600_000));

const help = `
A model's name is its folder's; the first one answers where a request names none.
HUB_PATHWAY_TOKEN, or the file of --token-file, is a bearer token that requests must have then.

Examples:
  hub-pathway serve runs/photos
  hub-pathway serve bundle --port 9000 --degrade 1
  curl --data-binary @cat.jpg -H content-type:image/jpeg 'http://127.0.0.1:8080/predict?explain=1'`;

export function addServeCommand(program: Command, output: () => Output): void {
  const command = program
    .command("serve [models...]")
    .description("answer over HTTP with finished runs and bundles; the address shows a page")
    .optionsGroup("Address:")
    .option("--port <n>", "port, 0 for any that is free (default: 8080)", port)
    .option("--host <address>", "address that is listened at (default: 127.0.0.1, this machine alone)")
    .option("--token-file <file>", "file with the bearer token that requests must have")
    .optionsGroup("Models:")
    .option("--watch <dir>", "folder of runs and bundles, or links to them: what it names anew is swapped in")
    .option("--check", "load and test the models, say what would be served, and end")
    .option("--k <n>", "activated models, when another cost than trained for is wanted; runs only", count)
    .option("--confidence <p>", "ask models one after the other until an answer is this sure; runs only", probability)
    .option("--flops <n>", "FLOPs that an image may cost, on average; runs only", positive);
  addRejection(command)
    .option("--reject-below <p>", 'mark answers as rejected ("I don\'t know") below this probability', probability)
    .option("--hub-memory <amount>", hubMemoryHelp, bytes)
    .option("--trust", trustHelp)
    .option("--device <name>", deviceHelp)
    .option("--threads <n>", "threads inside one operator", threads)
    .optionsGroup("Load:")
    .option("--max-batch <n>", "images that are computed together (default: 32)", count)
    .option("--max-wait-ms <ms>", "time that a batch waits at most for more images (default: 5)", milliseconds)
    .option("--queue <n>", "images that are let in at a time; further ones get 503 (default: 256)", count)
    .option("--deadline-ms <ms>", "time in which a request is answered, else 504 (default: 10000)", deadline)
    .option(
      "--slow-ms <ms>",
      "a model that takes longer is left out for a while (default: half the deadline)",
      positive,
    )
    .option("--degrade <k>", "activated models under load, before requests get 503", count)
    .option("--per-client <n>", "requests of one address at a time; further ones get 429 (default: any number)", count)
    .option("--max-body <amount>", "bytes of a request's body (default: 32MB)", bytes)
    .option("--max-pixels <n>", "width x height of an image (default: 100 million, as in training)", count)
    .option("--max-images <n>", "images of one request (default: 64)", count)
    .option("--log-level <name>", "debug notes every request (default: info)")
    .addHelpText("after", help)
    .action(async (models: string[], flags: ServeFlags) => {
      const { serveModels } = await import("../serve-command.ts");
      await serveModels(models, flags, output());
    });
}
