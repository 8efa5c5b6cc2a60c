/** `train` on a machine whose processors are all taken by other work, against the same command on the machine as it is. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Figure, inTurn, median, ratioFigure } from "./figure.ts";
import { writeImages } from "./loader-epoch.ts";

const program = fileURLToPath(new URL("../bin/hub-pathway.js", import.meta.url));

export async function underLoad(rounds: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    const images = await writeImages(folder);
    let count = 0;
    const train = async (): Promise<number> => {
      const args = ["train", "--data", images, "--epochs", "1", "--out", join(folder, `run${count++}`)];
      const env = { ...process.env, HUB_PATHWAY_CACHE: join(folder, "cache") };
      const began = performance.now();
      await ended(spawn(process.execPath, [program, ...args], { env, stdio: ["ignore", "ignore", "pipe"] }));
      return (performance.now() - began) / 1000;
    };
    await train(); // decodes the images
    const [loaded, quiet] = await inTurn(rounds, () => besideOtherWork(train), train);
    return [
      ratioFigure(
        "train, every processor taken by other work",
        { what: "s, beside other work", value: median(loaded) },
        { what: "s, without it", value: median(quiet) },
        2.5,
        `starter hub, one epoch, ${cpus().length} processors, start of the program included, median of ${rounds} rounds`,
      ),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Two would share each processor fairly: twice the time is what the other work takes. */
async function besideOtherWork<T>(work: () => Promise<T>): Promise<T> {
  const busy = cpus().map(() => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
  try {
    return await work();
  } finally {
    for (const child of busy) child.kill("SIGKILL");
  }
}

function ended(child: ChildProcess): Promise<void> {
  let said = "";
  child.stderr?.on("data", (text) => {
    said += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`train ended with ${code}:\n${said}`))));
  });
}
