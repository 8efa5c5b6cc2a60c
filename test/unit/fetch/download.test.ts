import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { request } from "../../../src/fetch/http.ts";
import { type FetchOptions, fetchSource } from "../../../src/fetch/index.ts";
import { partsOf } from "../../../src/hub/adding/inspect.ts";
import { UserError } from "../../../src/torch/index.ts";
import { FileServer, type Served, sha256 } from "../../support/file-server.ts";
import { afterEach, beforeEach } from "../../support/hooks.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const body = randomBytes(300_000);
const path = "/folder/model.pth";
let server: FileServer;
const folder = temporaryFolder();
let cacheDir: string;

beforeEach(async () => {
  server = await FileServer.start();
  cacheDir = mkdtempSync(join(folder, "cache-"));
});

afterEach(() => server.stop());

function fetched(options: FetchOptions = {}, url = server.origin + path) {
  const timing = { stallMs: 3000, attempts: 4, backoffMs: 2, ...options.timing };
  return fetchSource({ kind: "url", url }, partsOf, {
    cacheDir,
    endpoint: server.origin,
    token: "",
    ...options,
    timing,
  });
}

const refusal = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.match(error.message, pattern);
  return true;
};

/** Files in the cache that are complete, and those that are not. */
function stored() {
  const all = readdirSync(cacheDir, { recursive: true, encoding: "utf8" }).filter((name) =>
    statSync(join(cacheDir, name)).isFile(),
  );
  const partial = all.filter((name) => name.endsWith(".incomplete"));
  return { complete: all.filter((name) => /[/\\]files[/\\]/.test(name)), partial };
}

const nothing = { complete: [], partial: [] };
const starts = () =>
  server.requests(path).map(({ headers }) => Number(/^bytes=(\d+)-$/.exec(headers.range ?? "bytes=0-")?.[1]));

/** Starts of the requests. Bytes on their way when a connection broke may be lost, so later ones may begin earlier. */
function assertStarts(...expected: number[]): void {
  const actual = starts();
  const fits = actual.every((start, i) => {
    const latest = expected[i] ?? -1;
    return latest === 0 ? start === 0 : start > 0 && start <= latest && start >= (actual[i - 1] ?? 0);
  });
  assert.ok(fits && actual.length === expected.length, `requests began at ${actual}, not at ${expected}`);
}

async function assertFetched(options: FetchOptions = {}): Promise<void> {
  const { main, parts, revision } = await fetched(options);
  assert.deepEqual(readFileSync(main.path), body);
  assert.deepEqual(
    { ...main, path: "" },
    { path: "", name: "model.pth", sha256: sha256(body), bytes: body.length, url: server.origin + path },
  );
  assert.deepEqual([parts, revision], [[], undefined]);
  assert.equal(stored().complete.length, 1);
  assert.deepEqual(stored().partial, []);
}

test("a file is fetched whole, reported as it comes, and kept", async () => {
  server.serve(path, { body, etag: '"one"' });
  const seen: [number, number | undefined, string][] = [];
  await assertFetched({ onProgress: (...step) => seen.push(step) });
  assert.deepEqual(seen.at(-1), [body.length, body.length, "model.pth"]);
  assert.ok(seen.every(([done], i) => done > (seen[i - 1]?.[0] ?? 0)));
});

test("a kept file is asked for by its ETag, or date, and not fetched again", async () => {
  const served = server.serve(path, { body, etag: '"one"' });
  await assertFetched();
  await assertFetched();
  assert.equal(server.requests(path)[1]?.headers["if-none-match"], '"one"');
  Object.assign(served, { etag: undefined, headers: { "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" } });
  await assertFetched();
  await assertFetched();
  assert.equal(server.requests(path)[3]?.headers["if-modified-since"], "Mon, 01 Jan 2024 00:00:00 GMT");
});

test("a kept file with the expected hash needs no server; a damaged one is fetched again", async () => {
  server.serve(path, { body, etag: '"one"' });
  await assertFetched();
  await assertFetched({ sha256: sha256(body) });
  assert.equal(server.requests(path).length, 1);
  writeFileSync(join(cacheDir, stored().complete[0] as string), "damaged");
  await assertFetched();
  assert.equal(server.requests(path)[1]?.headers["if-none-match"], undefined);
});

test("a changed file on the server replaces the kept one", async () => {
  const served = server.serve(path, { body: "old", etag: '"old"' });
  assert.equal((await fetched()).main.sha256, sha256("old"));
  Object.assign(served, { body, etag: '"new"' });
  await assertFetched();
});

test("offline gives what is kept, and names what is not", async () => {
  await assert.rejects(fetched({ offline: true }), refusal(/model\.pth was not fetched before.*--offline/));
  server.serve(path, { body, etag: '"one"' });
  await assertFetched();
  await assertFetched({ offline: true });
  for (const offline of [true, false]) {
    await assert.rejects(fetched({ offline, sha256: sha256("other") }), refusal(/is refused: its sha256.*replaced/));
  }
  assert.equal(server.requests(path).length, 2);
});

test("a cut connection is resumed where it broke, at whatever byte", async () => {
  server.serve(path, { body, etag: '"one"', cuts: [100_000, 1, 99_999] });
  await assertFetched();
  assertStarts(0, 100_000, 100_001, 200_000);
  assert.ok(server.requests(path).every(({ headers }, i) => headers["if-range"] === (i === 0 ? undefined : '"one"')));
});

test("a connection cut before the first and before the last byte", async () => {
  server.serve(path, { body, etag: '"one"', cuts: [0, body.length - 1] });
  await assertFetched();
  assertStarts(0, 0, body.length - 1);
});

test("without ranges, and without an ETag that vouches for the rest, a cut starts anew", async () => {
  server.serve(path, { body, etag: '"one"', cuts: [100_000], ranges: false });
  await assertFetched();
  assertStarts(0, 100_000);
  for (const etag of [undefined, 'W/"weak"']) {
    cacheDir = mkdtempSync(join(folder, "cache-"));
    server.asked.length = 0;
    server.serve(path, { body, etag, cuts: [100_000] });
    await assertFetched();
    assertStarts(0, 0);
  }
});

test("an expected hash vouches for the rest where there is no ETag", async () => {
  server.serve(path, { body, cuts: [100_000] });
  await assertFetched({ sha256: sha256(body) });
  assertStarts(0, 100_000);
});

test("a file that changes between two attempts is not joined from both", async () => {
  const before = (served: Served, requests: number) => requests === 2 && Object.assign(served, { body, etag: '"new"' });
  server.serve(path, { body: randomBytes(290_000), etag: '"old"', cuts: [150_000], before });
  await assertFetched();
  assertStarts(0, 150_000);
});

test("a server that resumes a changed file all the same is caught by its ETag", async () => {
  // Ignores If-Range: the answer to the second request is the rest of another file.
  const before = (served: Served, requests: number) => {
    if (requests === 2) Object.assign(served, { body: randomBytes(body.length), etag: '"other"' });
    if (requests === 2) server.asked.at(-1)!.headers["if-range"] = '"other"';
    if (requests === 3) Object.assign(served, { body });
  };
  server.serve(path, { body, etag: '"one"', cuts: [100_000], before });
  await assertFetched();
  assertStarts(0, 100_000, 0);
});

test("a server that sends another part than it was asked for is not believed", async () => {
  const last = body.length - 1;
  const before = (served: Served, requests: number) => {
    served.headers = requests === 2 ? { "content-range": `bytes 5-${last}/${body.length}` } : {};
  };
  server.serve(path, { body, etag: '"one"', cuts: [100_000], before });
  await assertFetched();
  assertStarts(0, 100_000, 0);
});

test("given up after a few cuts, a later fetch resumes", async () => {
  server.serve(path, { body, etag: '"one"', cuts: [70_000, 10, 10, 10] });
  await assert.rejects(fetched(), refusal(/tried 4 times.*try again later/));
  assert.deepEqual([stored().complete.length, stored().partial.length], [0, 1]);
  await assertFetched();
  assertStarts(0, 70_000, 70_010, 70_020, 70_030);
});

test("attempts that each bring something are not counted against the server", async () => {
  const large = Buffer.concat(Array(5).fill(body));
  server.serve(path, { body: large, etag: '"one"', cuts: Array(7).fill(150_000) });
  assert.equal((await fetched()).main.sha256, sha256(large));
  assert.equal(starts().length, 8);
});

test("a file without announced length is taken to its end, and a cut one is noticed", async () => {
  server.serve(path, { body, chunked: true });
  await assertFetched();
  cacheDir = mkdtempSync(join(folder, "cache-"));
  server.serve(path, { body, chunked: true, cuts: [50_000] });
  await assertFetched();
});

test("limits hold for announced and for unannounced sizes, before the disk is filled", async () => {
  server.serve(path, { body });
  await assert.rejects(fetched({ maximumBytes: 299_999 }), refusal(/300000 bytes, more than the 299999/));
  server.serve(path, { body, chunked: true });
  await assert.rejects(fetched({ maximumBytes: 299_999 }), refusal(/longer than the 299999 bytes that are allowed/));
  const huge = String(2 ** 50);
  server.serve(path, { body, cuts: [10], headers: { "content-length": huge } });
  await assert.rejects(fetched({ maximumBytes: 2 ** 52 }), refusal(/free some space/));
  assert.deepEqual(stored(), nothing);
});

test("a file shorter than announced is refused in the end, one longer than its range at once", async () => {
  const longer = { "content-length": String(body.length + 10) };
  server.serve(path, { body, headers: longer, cuts: [body.length, body.length, body.length, body.length] });
  await assert.rejects(fetched(), refusal(/connection|SOCKET|ended|terminated/i));
  assert.deepEqual(stored().complete, []);
  cacheDir = mkdtempSync(join(folder, "cache-"));
  const before = (served: Served, requests: number) => {
    if (requests !== 6) return;
    const range = `bytes ${starts().at(-1)}-${body.length - 2}/${body.length - 1}`;
    served.headers = { "content-range": range };
  };
  server.serve(path, { body, etag: '"one"', cuts: [100_000], before });
  await assert.rejects(fetched(), refusal(/announces 299999 bytes where 300000 were expected/));
  assert.deepEqual(stored(), nothing);
});

test("a wrong hash is refused and removed", async () => {
  server.serve(path, { body, etag: '"one"' });
  await assert.rejects(
    fetched({ sha256: sha256("other") }),
    refusal(/refused and was removed: its sha256 is .* damaged/),
  );
  assert.deepEqual(stored(), nothing);
  server.serve(path, { body, headers: { "x-linked-etag": `"${sha256("other")}"` } });
  await assert.rejects(fetched(), refusal(/sha256/));
  assert.deepEqual(stored(), nothing);
});

test("a damaged beginning that an earlier process left is found by the hash and fetched again", async () => {
  server.serve(path, { body, etag: '"one"', cuts: [100_000, 0, 0, 0] });
  await assert.rejects(fetched(), refusal(/tried 4 times/));
  writeFileSync(join(cacheDir, stored().partial[0] as string), randomBytes(100_000));
  await assertFetched({ sha256: sha256(body) });
  assert.deepEqual(starts().slice(-2), [100_000, 0]);
});

test("HTTP errors: busy servers are asked again, others are explained", async () => {
  server.serve(path, { body, failures: [429, 503, 500], headers: { "retry-after": "0" } });
  await assertFetched();
  server.serve(path, { failures: [503, 503, 503, 503] });
  await assert.rejects(fetched(), refusal(/tried 4 times.*HTTP 503.*try again later/));
  for (const [status, pattern] of [
    [401, /does not allow/],
    [403, /browser/],
    [404, /no such file/],
    [418, /HTTP 418/],
  ] as const) {
    server.asked.length = 0;
    server.serve(path, { failures: [status] });
    await assert.rejects(fetched(), refusal(pattern));
    assert.equal(server.asked.length, 1, `HTTP ${status} is not tried again`);
  }
  const closed = server.origin;
  await server.stop();
  await assert.rejects(fetched({}, closed + path), refusal(/tried 4 times.*the connection was refused/));
  server = await FileServer.start();
});

test("redirects are followed, but not in circles, to other schemes, or with the token elsewhere", async () => {
  server.serve(path, { redirect: "/second" });
  server.serve("/second", {
    redirect: `${server.otherOrigin}/third`,
    headers: { "x-linked-etag": `"${sha256(body)}"` },
  });
  server.serve("/third", { body });
  await assertFetched({ token: "hf_secret" });
  const sent = server.asked.map(({ headers }) => headers.authorization);
  assert.deepEqual(sent, ["Bearer hf_secret", "Bearer hf_secret", undefined]);
  server.serve("/second", { redirect: path });
  await assert.rejects(fetched(), refusal(/redirects more than 10 times/));
  for (const target of ["file:///etc/passwd", "ftp://host/x", "http://user:pw@127.0.0.1/x", "data:,x"]) {
    server.serve(path, { redirect: target });
    await assert.rejects(fetched(), refusal(/redirects to .*not followed/), target);
  }
  server.serve(path, { redirect: "http://[" });
  await assert.rejects(fetched(), refusal(/no valid address/));
});

test("a token goes to the Hub's endpoint only, and appears in no message", async () => {
  server.serve(path, { failures: [403] });
  const error = await fetched({ token: "hf_secret", endpoint: "https://hub.example" }).catch((reason: Error) => reason);
  assert.ok(error instanceof UserError && !error.message.includes("hf_secret"));
  assert.equal(server.asked[0]?.headers.authorization, undefined);
  server.serve(path, { body });
  await assertFetched({ token: "two words", endpoint: "https://hub.example" });
  await assert.rejects(
    fetched({ token: "two words" }),
    (reason) => refusal(/token/)(reason) && !/two words/.test(String(reason)),
  );
});

test("a silent server, and one that trickles, are given up", async () => {
  const timing = { stallMs: 60, attempts: 2 };
  server.serve(path, { silent: true });
  await assert.rejects(fetched({ timing }), refusal(/nothing came for 0\.06 s/));
  server.serve(path, { body, etag: '"one"', trickleMs: 5 });
  await assert.rejects(fetched({ timing }), refusal(/nothing came/));
  assert.equal(server.asked.length, 4);
  assert.equal(stored().partial.length, 1);
});

test("a slow but living connection is not given up, nor a fast one with a slow reader", async () => {
  // Together longer than the limit, which is long beside what a busy machine holds up.
  server.serve(path, { body: body.subarray(0, 40_000), trickleMs: 60, trickleBytes: 2000 });
  assert.equal((await fetched({ timing: { stallMs: 1000, attempts: 1 } })).main.bytes, 40_000);
  server.serve(path, { body });
  let blocks = 1;
  const block = () => blocks-- > 0 && Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);
  await assertFetched({ timing: { stallMs: 1000, attempts: 1 }, onProgress: block });
});

test("time that the reader takes is not held against the server", async () => {
  server.serve(path, { body: body.subarray(0, 4000), trickleMs: 430, trickleBytes: 2000 });
  const reply = await request(server.origin + path, { timing: { stallMs: 200, attempts: 1, backoffMs: 1 } });
  let bytes = 0;
  for await (const chunk of reply.chunks()) {
    bytes += chunk.length;
    await pause(380);
  }
  assert.equal(bytes, 4000);
});

test("a stopped download keeps what it has for the next one", async () => {
  const controller = new AbortController();
  server.serve(path, { body, etag: '"one"', trickleMs: 5, trickleBytes: 50_000 });
  const onProgress = (done: number) => done >= 100_000 && controller.abort();
  await assert.rejects(fetched({ signal: controller.signal, onProgress }), refusal(/was stopped/));
  await assert.rejects(fetched({ signal: controller.signal }), refusal(/was stopped/));
  await assertFetched();
  assert.ok((starts().at(-1) ?? 0) >= 100_000);
});

test("a web page is no model", async () => {
  server.serve("/owner/name", { body: "<html>", headers: { "content-type": "text/html; charset=utf-8" } });
  await assert.rejects(fetched({}, `${server.origin}/owner/name`), refusal(/web page, not a model/));
  assert.deepEqual(stored(), nothing);
});

test("the name of a file comes from its address and stays in its folder", async () => {
  for (const [address, name] of [
    ["/a%2F..%2Fb.pth", "a_.._b.pth"],
    ["/%2e%2e%5cx", ".._x"],
    ["/", "download"],
    ["/%ff", "download"],
  ] as const) {
    server.serve(address, { body });
    const { main } = await fetched({}, server.origin + address);
    assert.equal(main.name, name);
    assert.ok(main.path.startsWith(cacheDir));
  }
});

test("a folder in the way, or a file where a folder should be, is explained", async () => {
  server.serve(path, { body });
  await fetched();
  const [kept] = stored().complete;
  writeFileSync(join(cacheDir, "file"), "");
  await assert.rejects(fetched({ cacheDir: join(cacheDir, "file") }), refusal(/cannot write .*not a folder/));
  const other = join(folder, "new");
  mkdirSync(join(other, kept as string, "inside"), { recursive: true });
  await assert.rejects(fetched({ cacheDir: other }), refusal(/cannot write/));
});

test("two fetches of one file at once in one process", async () => {
  server.serve(path, { body, etag: '"one"', trickleMs: 2, trickleBytes: 50_000 });
  const [a, b] = await Promise.all([fetched(), fetched()]);
  assert.deepEqual([a.main.sha256, b.main.sha256], [sha256(body), sha256(body)]);
  await assertFetched();
});
