/** A real HTTP server on this machine that serves files well or badly, as a test wishes, and the Hub's two answers. */
import { createHash } from "node:crypto";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** Responses for a path; one number or status after the other for the requests that come. */
export interface Served {
  body?: Uint8Array | string;
  /** In quotes as HTTP has it; none by default. */
  etag?: string | undefined;
  headers?: Record<string, string>;
  status?: number;
  /** Statuses of the first requests, before the file is served. */
  failures?: number[];
  /** The connection breaks after so many bytes of each of the first responses' bodies. */
  cuts?: number[];
  /** Bytes of the file that the client has stored: a connection breaks once those before the cut are. */
  stored?: () => number;
  /** Answer ranges (default true). */
  ranges?: boolean;
  /** Send no Content-Length. */
  chunked?: boolean;
  redirect?: string;
  /** Pause between pieces of `trickleBytes` (default 1) bytes. */
  trickleMs?: number;
  trickleBytes?: number;
  /** Never answer at all. */
  silent?: boolean;
  /** Called before each answer: a test may change what is served. */
  before?: (served: Served, requests: number) => void;
}

export interface Asked {
  path: string;
  headers: IncomingHttpHeaders;
}

export class FileServer {
  readonly asked: Asked[] = [];
  readonly #routes = new Map<string, Served>();
  readonly #counts = new Map<string, number>();
  readonly #server: Server;
  #port = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<FileServer> {
    const server = new FileServer();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    server.#port = (server.#server.address() as AddressInfo).port;
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The same server under another name: another origin for a client. */
  get otherOrigin(): string {
    return this.origin.replace("127.0.0.1", "localhost");
  }

  serve(path: string, served: Served): Served {
    this.#routes.set(path, served);
    return served;
  }

  /** Requests for a path. */
  requests(path: string): Asked[] {
    return this.asked.filter((asked) => asked.path === path);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    this.asked.push({ path, headers: request.headers });
    const served = this.#routes.get(path);
    const count = (this.#counts.get(path) ?? 0) + 1;
    this.#counts.set(path, count);
    if (!served) return void response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
    served.before?.(served, count);
    if (served.silent) return;
    const failure = served.failures?.shift();
    if (failure !== undefined) return void response.writeHead(failure, served.headers).end("no");
    if (served.redirect !== undefined) {
      return void response.writeHead(302, { ...served.headers, location: served.redirect }).end();
    }
    if (served.etag !== undefined && request.headers["if-none-match"] === served.etag) {
      return void response.writeHead(304, { etag: served.etag }).end();
    }
    await send(request, response, served);
  }
}

async function send(request: IncomingMessage, response: ServerResponse, served: Served): Promise<void> {
  const whole = Buffer.from(served.body ?? "");
  const range = rangeOf(request.headers, served);
  if (range && range.start > 0 && range.start >= whole.length) {
    return void response.writeHead(416, { "content-range": `bytes */${whole.length}` }).end();
  }
  const body = whole.subarray(range?.start ?? 0, range?.end);
  const last = (range?.start ?? 0) + body.length - 1;
  response.writeHead(served.status ?? (range ? 206 : 200), {
    ...(served.chunked ? {} : { "content-length": body.length }),
    ...(served.etag === undefined ? {} : { etag: served.etag }),
    ...(range ? { "content-range": `bytes ${range.start}-${last}/${whole.length}` } : {}),
    ...served.headers,
  });
  const cut = served.cuts?.shift();
  const part = cut === undefined ? body : body.subarray(0, cut);
  if (served.trickleMs === undefined) await written(response, part);
  else await trickle(response, part, served);
  if (cut === undefined) response.end();
  else {
    // Time for the bytes to arrive: a client may drop what it has not read when the connection breaks.
    const sent = (range?.start ?? 0) + part.length;
    do await pause(20);
    while (served.stored && served.stored() < sent);
    response.destroy();
  }
}

/** Undefined for the whole file. */
function rangeOf(headers: IncomingHttpHeaders, served: Served): { start: number; end: number | undefined } | undefined {
  const [, start, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
  const condition = headers["if-range"];
  const isWhole = served.ranges === false || (condition !== undefined && condition !== served.etag);
  if (isWhole || start === undefined) return undefined;
  return { start: Number(start), end: last ? Number(last) + 1 : undefined };
}

async function trickle(response: ServerResponse, body: Uint8Array, served: Served): Promise<void> {
  const step = served.trickleBytes ?? 1;
  for (let at = 0; at < body.length && !response.destroyed; at += step) {
    await written(response, body.subarray(at, at + step));
    await pause(served.trickleMs);
  }
}

/** Resolves when the bytes are on their way, or the client is gone. */
function written(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => response.write(bytes, () => resolve()));
}

export const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/** Git's hash of a file's content. */
export const gitHash = (bytes: Uint8Array | string): string =>
  createHash("sha1")
    .update(`blob ${Buffer.byteLength(bytes)}\0`)
    .update(bytes)
    .digest("hex");

export interface ServedRepository {
  commit: string;
  /** Responses for each file; change them to serve it badly. */
  files: Map<string, Served>;
  tree: Served;
  revision: Served;
}

const largeFile = /\.(safetensors|bin|onnx|pth|pt|onnx_data|parquet|tar)$/;

/** Answers as the Hub does for a repository: models' weights by SHA-256, other files by git's hash. */
export function serveRepository(
  server: FileServer,
  repo: string,
  contents: Record<string, Uint8Array | string>,
  { commit = "0123456789abcdef0123456789abcdef01234567", revision = "main", isDataset = false } = {},
): ServedRepository {
  const api = `/api/${isDataset ? "datasets" : "models"}/${repo}`;
  const page = isDataset ? `/datasets/${repo}` : `/${repo}`;
  const files = new Map<string, Served>();
  const entries: unknown[] = [{ type: "directory", oid: "f".repeat(40), size: 0, path: "some-folder" }];
  for (const [path, body] of Object.entries(contents)) {
    const size = Buffer.byteLength(body);
    const isLarge = largeFile.test(path);
    const lfs = isLarge ? { lfs: { oid: sha256(body), size, pointerSize: 134 } } : {};
    entries.push({ type: "file", oid: gitHash(isLarge ? `pointer to ${path}` : body), size, path, ...lfs });
    const etag = `"${isLarge ? sha256(body) : gitHash(body)}"`;
    const headers = { "x-repo-commit": commit };
    files.set(path, server.serve(`${page}/resolve/${commit}/${path}`, { body, etag, headers }));
  }
  const json = { "content-type": "application/json" };
  return {
    commit,
    files,
    tree: server.serve(`${api}/tree/${commit}?recursive=true`, { body: JSON.stringify(entries), headers: json }),
    revision: server.serve(`${api}/revision/${encodeURIComponent(revision)}`, {
      body: JSON.stringify({ id: repo, sha: commit, private: false }),
      headers: json,
    }),
  };
}
