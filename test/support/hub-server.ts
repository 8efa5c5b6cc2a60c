/** A real HTTP server that plays the part of the Hub that publishing needs: repositories, branches, LFS, commits, and their files. */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Repository {
  isPrivate: boolean;
  /** Commits of each branch, the last one the newest. */
  readonly branches: Map<string, Commit[]>;
}

interface Commit {
  readonly oid: string;
  readonly title: string;
  readonly files: ReadonlyMap<string, Buffer>;
}

class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const hash = (bytes: Uint8Array, name = "sha256"): string => createHash(name).update(bytes).digest("hex");

export class HubServer {
  /** The token that may write, and its owner. */
  readonly token = "hf_test";
  readonly owner = "me";
  readonly repositories = new Map<string, Repository>();
  /** Large files by their hashes, whether a commit names them or not. */
  readonly large = new Map<string, Buffer>();
  /** Method and path of each request. */
  readonly requests: string[] = [];
  /** What a test wants to happen to a request: a status, or a connection that breaks. */
  trouble: (request: string) => number | "break" | undefined = () => undefined;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        const status = error instanceof Refused ? error.status : 500;
        const code = status === 404 ? "RevisionNotFound" : "";
        send(response, status, { error: String(error) }, { "x-error-code": code });
      });
    });
  }

  static async start(): Promise<HubServer> {
    const hub = new HubServer();
    await new Promise<void>((resolve) => hub.#server.listen(0, "127.0.0.1", resolve));
    return hub;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Commits of a branch. */
  commits(repo: string, branch = "main"): readonly Commit[] {
    return this.repositories.get(repo)?.branches.get(branch) ?? [];
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "", this.origin);
    const what = `${request.method} ${pathname}`;
    this.requests.push(what);
    const trouble = this.trouble(what);
    if (trouble === "break") return void request.socket.destroy();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (trouble !== undefined) throw new Refused(trouble, "trouble");
    const body = Buffer.concat(chunks);
    const parts = pathname.split("/").slice(1).map(decodeURIComponent);
    if (parts[0] === "storage") return this.#store(parts[1] ?? "", body, response);
    if (request.method === "POST") this.#requireToken(request);
    if (pathname === "/api/repos/create") return this.#create(JSON.parse(String(body)), response);
    if (pathname.endsWith(".git/info/lfs/objects/batch")) return this.#batch(JSON.parse(String(body)), response);
    const repo = (parts[0] === "api" ? parts.slice(2, 4) : parts.slice(0, 2)).join("/");
    const [verb = "", revision = "", ...path] = parts[0] === "api" ? parts.slice(4) : parts.slice(2);
    const found = this.repositories.get(repo);
    if (!found) throw new Refused(404, "no repository");
    if (verb === "branch") {
      if (!found.branches.has(revision)) found.branches.set(revision, [...(found.branches.get("main") ?? [])]);
      return send(response, 200, {});
    }
    const commits =
      found.branches.get(revision) ??
      [...found.branches.values()].find((all) => all.some(({ oid }) => oid === revision));
    const last = commits?.find(({ oid }) => oid === revision) ?? commits?.at(-1);
    if (!commits || !last) throw new Refused(404, "no revision");
    if (verb === "preupload") return this.#preupload(JSON.parse(String(body)), response);
    if (verb === "commit") return this.#commit(commits, String(body), response);
    if (verb === "revision") return send(response, 200, { sha: last.oid });
    if (verb === "tree")
      return send(
        response,
        200,
        [...last.files].map(([name, bytes]) => entryOf(name, bytes)),
      );
    const file = verb === "resolve" ? last.files.get(path.join("/")) : undefined;
    if (!file) throw new Refused(404, "no file");
    response.end(file);
  }

  #requireToken({ headers }: IncomingMessage): void {
    if (headers.authorization !== `Bearer ${this.token}`) throw new Refused(401, "Invalid credentials");
  }

  #create({ name, organization, visibility }: Record<string, string>, response: ServerResponse): void {
    if (organization !== this.owner) throw new Refused(403, "You don't have the rights");
    const repo = `${organization}/${name}`;
    if (this.repositories.has(repo)) throw new Refused(409, "You already created this model repo");
    const first = { oid: randomBytes(20).toString("hex"), title: "initial commit", files: new Map() };
    this.repositories.set(repo, { isPrivate: visibility === "private", branches: new Map([["main", [first]]]) });
    send(response, 200, { url: `${this.origin}/${repo}`, id: repo });
  }

  #preupload({ files }: { files: { path: string; size: number }[] }, response: ServerResponse): void {
    const modes = files.map(({ path }) => {
      return { path, uploadMode: /\.(onnx|safetensors)$/.test(path) ? "lfs" : "regular" };
    });
    send(response, 200, { files: modes });
  }

  #batch({ objects }: { objects: { oid: string; size: number }[] }, response: ServerResponse): void {
    const answers = objects.map(({ oid, size }) => {
      const upload = { href: `${this.origin}/storage/${oid}` };
      return { oid, size, ...(this.large.has(oid) ? {} : { actions: { upload } }) };
    });
    send(response, 200, { transfer: "basic", objects: answers });
  }

  #store(oid: string, body: Buffer, response: ServerResponse): void {
    if (hash(body) !== oid) throw new Refused(400, "another hash");
    this.large.set(oid, body);
    send(response, 200, {});
  }

  #commit(commits: Commit[], body: string, response: ServerResponse): void {
    const last = commits.at(-1);
    const files = new Map(last?.files);
    let title = "";
    for (const line of body.split("\n")) {
      const { key, value } = JSON.parse(line) as { key: string; value: Record<string, string> };
      const { path = "", content = "", oid = "" } = value;
      if (key === "header" && value["parentCommit"] !== last?.oid)
        throw new Refused(412, "a commit has happened since");
      if (key === "header") title = value["summary"] ?? "";
      if (key === "deletedFile" && !files.delete(path)) throw new Refused(400, `no ${path}`);
      if (key === "file") files.set(path, Buffer.from(content, "base64"));
      if (key !== "lfsFile") continue;
      const large = this.large.get(oid);
      if (!large) throw new Refused(400, `${path} was not uploaded`);
      files.set(path, large);
    }
    const oid = randomBytes(20).toString("hex");
    commits.push({ oid, title, files });
    send(response, 200, { commitOid: oid, commitUrl: `${this.origin}/commit/${oid}`, hookOutput: "" });
  }
}

function entryOf(path: string, bytes: Buffer): Record<string, unknown> {
  const blob = hash(Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes]), "sha1");
  return { type: "file", path, size: bytes.length, oid: blob };
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}
