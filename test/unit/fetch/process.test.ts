import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fetchSource, parseSource, type RemoteSource } from "../../../src/fetch/index.ts";
import { FileServer, type Served, serveRepository, sha256 } from "../../support/file-server.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { typescript } from "../../support/typescript.ts";

const body = randomBytes(400_000);
const folder = temporaryFolder();
const sources = new URL("../../../src/fetch/index.ts", import.meta.url).href;
let server: FileServer;

before(async () => {
  server = await FileServer.start();
});
after(() => server.stop());

/** A process of its own that fetches a source and prints the hash, or what was refused. */
function fetching(source: string, cacheDir: string, limit = "unlimited"): ChildProcess {
  const program = `
    const { fetchSource, parseSource } = await import(${JSON.stringify(sources)});
    const options = { endpoint: ${JSON.stringify(server.origin)}, cacheDir: ${JSON.stringify(cacheDir)} };
    const told = await fetchSource(parseSource(${JSON.stringify(source)}), () => [], options).then(
      ({ main }) => main.sha256,
      (error) => error.name + ": " + error.message,
    );
    process.stdout.write(told);`;
  const flags = [...typescript, "--input-type=module", "-e", program];
  // The limit stands for a disk that takes no more; without the trap the system would end the process instead.
  const limited = [`trap '' XFSZ; ulimit -f ${limit}; exec "$@"`, "sh", process.execPath, ...flags];
  return spawn("sh", ["-c", ...limited], { stdio: ["ignore", "pipe", "inherit"] });
}

async function result(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout?.on("data", (data) => {
    text += data;
  });
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(code, 0);
  return text;
}

function files(cacheDir: string, ending: RegExp): string[] {
  const all = fs.existsSync(cacheDir) ? fs.readdirSync(cacheDir, { recursive: true, encoding: "utf8" }) : [];
  return all.filter((name) => ending.test(name));
}

const complete = /[/\\](blobs[/\\][0-9a-f]+|files[/\\]m\.pth)$/;
const incomplete = /\.incomplete$/;

/** The bytes of a file, 0 once another process has moved it or taken it away. */
function size(path: string): number {
  return fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    assert.ok(i < 1000, "waited in vain");
    await pause(10);
  }
}

for (const kind of ["repository", "address"] as const) {
  /** The same file from either kind of source. */
  const serve = (how: Partial<Served>): { served: Served; path: string; source: string } => {
    if (kind === "address") {
      const served = server.serve("/m.pth", { body, etag: '"one"', ...how });
      return { served, path: "/m.pth", source: `${server.origin}/m.pth` };
    }
    const repo = serveRepository(server, "owner/name", { "m.pth": body });
    const served = Object.assign(repo.files.get("m.pth")!, how);
    return { served, path: `/owner/name/resolve/${repo.commit}/m.pth`, source: "hf:owner/name" };
  };

  test(`${kind}: a process killed in the middle leaves nothing complete, and the next resumes`, async () => {
    const cacheDir = join(folder, `killed-${kind}`);
    const { served, path, source } = serve({ trickleMs: 20, trickleBytes: 40_000 });
    const child = fetching(source, cacheDir);
    await until(() => files(cacheDir, incomplete).some((name) => size(join(cacheDir, name)) >= 120_000));
    child.kill("SIGKILL");
    await once(child, "close");
    assert.deepEqual(files(cacheDir, complete), []);
    assert.equal(files(cacheDir, incomplete).length, 1);
    delete served.trickleMs;
    const options = { endpoint: server.origin, cacheDir };
    const { main } = await fetchSource(parseSource(source) as RemoteSource, () => [], options);
    assert.equal(main.sha256, sha256(body));
    const start = Number(/^bytes=(\d+)-$/.exec(server.requests(path).at(-1)?.headers.range ?? "")?.[1]);
    assert.ok(start >= 120_000 && start < body.length, `resumed at ${start}`);
    assert.equal(files(cacheDir, complete).length, 1);
    assert.deepEqual(files(cacheDir, incomplete), []);
  });

  test(`${kind}: two processes at once both get the whole file`, async () => {
    const cacheDir = join(folder, `two-${kind}`);
    // Slowly, until both are at it: a busy machine may start the second one late.
    const { served, source } = serve({ trickleMs: 500, trickleBytes: 20_000 });
    const children = [fetching(source, cacheDir), fetching(source, cacheDir)];
    let most = 0;
    const results = Promise.all(children.map(result));
    const watch = setInterval(() => {
      most = Math.max(most, files(cacheDir, incomplete).length);
      if (most === 2) served.trickleMs = 1;
    }, 10);
    assert.deepEqual(await results, [sha256(body), sha256(body)]);
    clearInterval(watch);
    assert.equal(most, 2, "they ran at the same time, each with a file of its own");
    assert.equal(files(cacheDir, complete).length, 1);
    assert.deepEqual(files(cacheDir, incomplete), []);
    const [kept] = files(cacheDir, complete);
    assert.equal(sha256(fs.readFileSync(join(cacheDir, kept as string))), sha256(body));
  });
}

test("a disk that takes no more ends in a refusal that leaves nothing behind", async () => {
  const cacheDir = join(folder, "full");
  server.serve("/full/m.pth", { body, chunked: true });
  const told = await result(fetching(`${server.origin}/full/m.pth`, cacheDir, "400"));
  assert.match(told, /^UserError: cannot write .*incomplete: the file is larger than the system allows/);
  assert.deepEqual([...files(cacheDir, complete), ...files(cacheDir, incomplete)], []);
});
