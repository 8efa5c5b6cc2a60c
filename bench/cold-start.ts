/** Cold starts: of `predict` to its answer, of `serve` until it is ready, of a run's page to its first answer in Chromium. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { train } from "../src/library/index.ts";
import { answerOf, noBrowser, openBrowser, openPage, StaticServer } from "../test/support/site.ts";
import { type Figure, inTurn, median, ratioFigure } from "./figure.ts";
import { writeImages } from "./loader-epoch.ts";
import { command, program, ServerProcess } from "./server-process.ts";

export async function coldStarts(rounds: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    const images = await writeImages(folder, 12);
    const { path } = await train({ images, out: join(folder, "run"), k: 2, epochs: 1 });
    const photo = join(images, "class0", "1.jpg");
    const found = [await ofPredict(rounds, path, photo), await ofServe(rounds, path)];
    if (!noBrowser) found.push(await ofPage(rounds, path, join(folder, "site"), photo));
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const time = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
};

const torch = new URL("../src/torch/index.ts", import.meta.url).href;
const hooks = new URL("../scripts/typescript.mjs", import.meta.url).href;

/** What no command does without: Node with libtorch, and one tensor. */
const bare = () =>
  time(async () => {
    const code = `const { zeros } = await import(${JSON.stringify(torch)}); process.stdout.write(String(zeros([1]).shape));`;
    const args = ["--import", hooks, "--input-type=module", "-e", code];
    await firstOutput(args);
  });

/** Until the process has written something, which is what its user waits for. */
async function firstOutput(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(child, "exit");
  const written = await Promise.race([once(child.stdout, "data").then(() => true), ended.then(() => false)]);
  if (!written) throw new Error(`${args.join(" ")} wrote nothing`);
}

const other = (values: readonly number[]) => ({ what: "s, Node with libtorch and one tensor", value: median(values) });

async function ofPredict(rounds: number, run: string, photo: string): Promise<Figure> {
  const [ours, base] = await inTurn(rounds, () => time(() => firstOutput([program, "predict", run, photo])), bare);
  return ratioFigure("cold start of `predict`, to its answer", { what: "s", value: median(ours) }, other(base));
}

async function ofServe(rounds: number, run: string): Promise<Figure> {
  const start = async (): Promise<number> => {
    let server: ServerProcess | undefined;
    const seconds = await time(async () => {
      server = await ServerProcess.start(run);
    });
    await server?.stop();
    return seconds;
  };
  const [ours, base] = await inTurn(rounds, start, bare);
  return ratioFigure("cold start of `serve`, until it is ready", { what: "s", value: median(ours) }, other(base));
}

/** In a browser that has never seen the page, from the address to the answer, against the second image. */
async function ofPage(rounds: number, run: string, site: string, photo: string): Promise<Figure> {
  command("export", run, "--web", site);
  const server = await StaticServer.start(site);
  const browser = await openBrowser();
  try {
    const [first, second]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      const context = await browser.newContext();
      const page = await context.newPage();
      first.push(
        await time(async () => {
          await openPage(page, server.address);
          await answerOf(page, photo);
        }),
      );
      second.push(await time(() => answerOf(page, photo)));
      await context.close();
    }
    return ratioFigure(
      "cold start of the page in Chromium, to its first answer",
      { what: "s", value: median(first) },
      { what: "s, the second image", value: median(second) },
    );
  } finally {
    await browser.close();
    await server.stop();
  }
}
