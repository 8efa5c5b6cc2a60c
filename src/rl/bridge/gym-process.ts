/** The Python process of the bridge: one request at a time in frames, and its end in every case. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { reasonOf } from "../../io/index.ts";
import { ConfigError, UserError } from "../../torch/index.ts";

// From src/ and from dist/ alike this leads to the source, which the package ships.
const script = fileURLToPath(new URL("../../../src/rl/bridge/gym-server.py", import.meta.url));
const headerBytes = 5;
const keptErrorText = 4000;
const patience = 2000;

interface Pending {
  answer: string;
  resolve(payload: Buffer): void;
  reject(error: Error): void;
}

export class GymProcess {
  readonly #child: ChildProcess;
  /** Name of the environment in error messages. */
  readonly #name: string;
  readonly #python: string;
  readonly #ended: Promise<void>;
  readonly #kill = () => this.#child.kill("SIGKILL");
  #pending: Pending | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #errorText = "";
  /** Why no more requests are possible. */
  #failure: Error | undefined;

  constructor(python: string, name: string) {
    this.#python = python;
    this.#name = name;
    const env = { ...process.env, PYTHONUNBUFFERED: "1", OMP_NUM_THREADS: "1" };
    this.#child = spawn(python, [script], { stdio: ["pipe", "pipe", "pipe"], env });
    this.#child.stdout?.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#errorText = (this.#errorText + chunk.toString("utf8")).slice(-keptErrorText);
    });
    this.#child.stdin?.on("error", () => {}); // the end of the process tells it better
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.#fail(new ConfigError(`Python cannot be started as "${python}" (${error.message}); ${namePython}`));
        resolve();
      });
      this.#child.once("close", (code, signal) => {
        this.#fail(this.#deathOf(code, signal));
        resolve();
      });
    });
    process.once("exit", this.#kill);
    this.#hold(false);
  }

  /** Sends a frame and answers with the payload of the frame of the expected kind. */
  request(kind: string, payload: Uint8Array, answer: string): Promise<Buffer> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#pending) return Promise.reject(new Error(`${this.#name} is still busy: await each call`));
    return new Promise((resolve, reject) => {
      this.#pending = { answer, resolve, reject };
      this.#hold(true);
      const header = Buffer.alloc(headerBytes);
      header.writeUInt32LE(payload.byteLength);
      header.write(kind, 4, "latin1");
      this.#child.stdin?.write(header);
      this.#child.stdin?.write(payload);
    });
  }

  /** Ends the process: by the end of its input, after a while by force. */
  async close(): Promise<void> {
    this.#fail(new Error(`${this.#name} is closed`));
    this.#hold(true);
    this.#child.stdin?.end();
    const timer = setTimeout(this.#kill, patience);
    await this.#ended;
    clearTimeout(timer);
    this.#hold(false);
    process.removeListener("exit", this.#kill);
  }

  /** While nothing is asked, the process does not keep ours alive. */
  #hold(busy: boolean): void {
    const change = busy ? "ref" : "unref";
    this.#child[change]();
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      // Pipes of child processes are sockets.
      (stream as { ref?(): void; unref?(): void } | null)?.[change]?.();
    }
  }

  #read(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < headerBytes) return;
    if ((this.#chunks[0] as Buffer).length < headerBytes) this.#chunks = [Buffer.concat(this.#chunks)];
    const first = this.#chunks[0] as Buffer;
    if (this.#bytes < headerBytes + first.readUInt32LE()) {
      this.#checkKind(first);
      return;
    }
    const frame = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    this.#take(frame.toString("latin1", 4, headerBytes), frame.subarray(headerBytes));
  }

  /** A program that is not ours is found out at once, not after gigabytes that never come. */
  #checkKind(first: Buffer): void {
    const kind = first.toString("latin1", 4, headerBytes);
    if (kind !== "e" && kind !== this.#pending?.answer) this.#take(kind, first);
  }

  #take(kind: string, payload: Buffer): void {
    const pending = this.#pending;
    if (pending && kind === pending.answer) {
      this.#pending = undefined;
      this.#hold(false);
      pending.resolve(payload);
      return;
    }
    if (kind === "e") this.#fail(this.#explain(JSON.parse(payload.toString("utf8"))));
    else this.#fail(new ConfigError(`"${this.#python}" does not answer as Python does; ${namePython}`));
    this.#child.stdin?.end();
    this.#kill();
  }

  #explain({ kind, message }: { kind: string; message: string }): UserError {
    const text = reasonOf(message, longestReason);
    if (kind === "missing")
      return new ConfigError(
        `${this.#name} needs ${text}, which "${this.#python}" does not have: \`${this.#python} -m pip install gymnasium\` ` +
          `(for Atari also ale-py opencv-python-headless), or ${namePython}`,
      );
    if (kind === "unknown") return new UserError(`${this.#name} is not there: ${text}`);
    return new UserError(`${this.#name} failed: ${text}`);
  }

  #deathOf(code: number | null, signal: string | null): UserError {
    const ending = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
    const last = this.#errorText.trim().split("\n").at(-1);
    return new UserError(
      `the Python process of ${this.#name} ${ending}${last ? `: ${reasonOf(last, longestReason)}` : ""}`,
    );
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const pending = this.#pending;
    this.#pending = undefined;
    this.#hold(false);
    pending?.reject(this.#failure);
  }
}

/** Characters of what the other process says that a message quotes. */
const longestReason = 1000;

const namePython = "name the interpreter with --python or the variable HUB_PATHWAY_PYTHON";
