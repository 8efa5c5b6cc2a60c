/** Death of an engine, more than can be done, deadlines, hot swap, and the end: nothing that was let in is lost. */
// Long: engines are started, killed, waited for and replaced.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type {
  PredictAnswer,
  ProblemDetails,
  RunningServer,
  ServedPrediction,
  ServeOptions,
} from "../../../src/serve/index.ts";
import { type ServedPlace, send, served, servedPlace } from "../../support/served.ts";

let place: ServedPlace;
/** What the first tests ask, until one closes it. */
let server: RunningServer;
/** Images that it lets in. */
const room = 12;

before(async () => {
  place = await servedPlace();
  server = await served([place.routed], { queue: room, maxBatch: 2 });
});
after(() => server?.close());

async function withServer(
  options: Partial<ServeOptions> & { models?: string[] },
  use: (server: RunningServer) => Promise<void>,
): Promise<void> {
  const server = await served(options.models ?? [place.routed], options);
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

/** Waits for what will come, however slow the machine is. */
async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await pause(20);
}

/** Processes of engines that this process started. */
function engines(): number[] {
  const all = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(process.pid)], { encoding: "utf8" });
  return all
    .split("\n")
    .filter((line) => /engine\/main/.test(line))
    .map((line) => Number.parseInt(line, 10));
}

const statusOf = async (response: Promise<Response>): Promise<number> => {
  const got = await response;
  await got.arrayBuffer();
  return got.status;
};

const metric = async ({ url }: RunningServer, pattern: string): Promise<number> => {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^hub_pathway_${pattern} ([\\d.e+-]+)$`, "m").exec(text)?.[1]);
};

test("an engine that is killed gives 503 meanwhile, is started again, and answers", async () => {
  assert.equal(await statusOf(send(server, place.photo)), 200);
  const [engine = 0] = engines();
  const waiting = Array.from({ length: 8 }, () => statusOf(send(server, place.photo)));
  process.kill(engine, "SIGKILL");
  for (const status of await Promise.all(waiting)) assert.ok(status === 200 || status === 503, String(status));
  await until(async () => (await metric(server, 'engine_restarts_total\\{model="routed"\\}')) === 1);
  const health = await fetch(`${server.url}/healthz`);
  assert.equal(health.status, 200);
  const statuses: number[] = [];
  await until(async () => {
    const response = await send(server, place.photo);
    if (response.status !== 200) assert.ok(Number(response.headers.get("retry-after")) >= 1);
    await response.arrayBuffer();
    statuses.push(response.status);
    return response.status === 200;
  });
  assert.ok(statuses.every((status) => status === 200 || status === 503));
  assert.equal((await fetch(`${server.url}/readyz`)).status, 200);
  assert.ok(!engines().includes(engine));
});

test("more than the queue holds gets 503 with Retry-After, and everything that was let in is answered", async () => {
  const responses = await Promise.all(Array.from({ length: 80 }, () => send(server, place.photo)));
  const statuses = responses.map(({ status }) => status);
  assert.ok(
    statuses.every((status) => status === 200 || status === 503),
    statuses.join(),
  );
  assert.ok(statuses.filter((status) => status === 200).length >= room);
  const shed = responses.filter(({ status }) => status === 503);
  assert.ok(shed.length > 0);
  for (const response of shed) {
    assert.ok(Number(response.headers.get("retry-after")) >= 1);
    assert.equal(((await response.json()) as ProblemDetails).code, "overloaded");
  }
  const images = JSON.stringify({ images: Array(room + 1).fill(readFileSync(place.photo).toString("base64")) });
  const headers = { "content-type": "application/json" };
  assert.equal(await statusOf(fetch(`${server.url}/predict`, { method: "POST", body: images, headers })), 503);
  assert.equal(await metric(server, 'queue_depth\\{model="routed"\\}'), 0);
  assert.equal(await statusOf(send(server, place.photo)), 200);
});

test("close answers what is open, takes nothing new, and leaves no process", async () => {
  const answered = 'requests_total\\{route="/predict",status="200"\\}';
  const before = await metric(server, answered);
  const open = Array.from({ length: room }, () => statusOf(send(server, place.photo)));
  const depth = 'queue_depth\\{model="routed"\\}';
  await until(async () => (await metric(server, answered)) - before + (await metric(server, depth)) === open.length);
  await server.close();
  for (const status of await Promise.all(open)) assert.equal(status, 200);
  await assert.rejects(send(server, place.photo));
  assert.deepEqual(engines(), []);
});

test("a request whose deadline passes gets 504, and one client's open requests have a limit", async () => {
  await withServer({ perClient: 1 }, async (server) => {
    // A body that never ends: the deadline passes while it is awaited.
    const agent = new Agent();
    const headers = { "content-type": "image/png", "content-length": "1000" };
    const slow = httpRequest(`${server.url}/predict?deadline=1500`, { method: "POST", headers, agent });
    slow.write("x");
    const answered = new Promise<number | undefined>((resolve) => {
      slow.on("response", (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      slow.on("error", () => {});
    });
    await until(async () => (await metric(server, 'queue_depth\\{model="routed"\\}')) === 1);
    const beside = await send(server, place.photo);
    // On a machine that is slow enough the deadline has passed already.
    if (beside.status !== 200) assert.deepEqual([beside.status, beside.headers.get("retry-after")], [429, "1"]);
    await beside.arrayBuffer();
    assert.equal(await answered, 504);
    // The client goes on, and has its place back all the same.
    await until(async () => (await metric(server, 'queue_depth\\{model="routed"\\}')) === 0);
    agent.destroy();
    await until(async () => (await metric(server, 'queue_depth\\{model="routed"\\}')) === 0);
    await until(async () => (await statusOf(send(server, place.photo))) === 200);
  });
});

test("clients that leave in the middle of a body, or before their answer, give their places back", async () => {
  await withServer({ queue: 4 }, async (server) => {
    const depth = () => metric(server, 'queue_depth\\{model="routed"\\}');
    const photo = readFileSync(place.photo);
    for (const part of [10, photo.length]) {
      const headers = { "content-type": "image/png", "content-length": String(photo.length) };
      const leaving = Array.from({ length: 4 }, () => {
        const asked = httpRequest(`${server.url}/predict`, { method: "POST", headers, agent: false });
        asked.on("error", () => {});
        asked.write(photo.subarray(0, part));
        return asked;
      });
      if (part < photo.length) await until(async () => (await depth()) === 4);
      for (const asked of leaving) asked.destroy();
      await until(async () => (await depth()) === 0);
    }
    assert.equal(await statusOf(send(server, place.photo)), 200);
  });
});

test("a folder that names another model has it swapped in without a failed request; one that fails changes nothing", async () => {
  const watch = join(place.folder, "watched");
  mkdirSync(watch);
  /** Leads a name to a folder in one step. */
  const name = (target: string) => {
    symlinkSync(target, join(watch, ".next"));
    renameSync(join(watch, ".next"), join(watch, "shapes"));
  };
  name(place.single);
  await withServer({ models: [], watch, watchMs: 20 }, async (server) => {
    const asked = async () => {
      const response = await send(server, place.photo);
      assert.equal(response.status, 200, await response.clone().text());
      const [first] = ((await response.json()) as PredictAnswer).predictions;
      return (first as ServedPrediction).pathway.length;
    };
    assert.equal(await asked(), 1);
    let isOver = false;
    const beside = (async () => {
      for (; !isOver; await pause(50)) await asked();
    })();
    name(place.routed);
    await until(async () => (await asked()) === 2);
    const broken = join(place.folder, "broken");
    cpSync(place.bundle, broken, { recursive: true });
    writeFileSync(join(broken, "router.onnx"), "another");
    name(broken);
    await until(async () => (await metric(server, 'swaps_total\\{model="shapes",result="failed"\\}')) === 1);
    assert.equal(await asked(), 2);
    name(place.bundle);
    await until(async () => (await metric(server, 'swaps_total\\{model="shapes",result="done"\\}')) === 2);
    assert.equal(server.models.get("shapes")?.description.kind, "bundle");
    isOver = true;
    await beside;
    rmSync(join(watch, "shapes"));
    assert.equal(await asked(), 2);
    await until(() => engines().length === 1);
  });
});
