/** One request: redirects followed by hand so that tokens stay where they belong, and no wait without end. */
import { UserError } from "../torch/index.ts";
import { shownUrl } from "./names.ts";

/** Something that may go better next time. */
export class Interruption extends Error {
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A token, and the only origin that may see it. */
export interface Credentials {
  readonly token: string;
  readonly origin: string;
}

/** Patience with a server. */
export interface Timing {
  /** Give up a connection that brings less than 1 KiB in this time (default 30 s). */
  readonly stallMs: number;
  /** Tries in a row without progress (default 5). */
  readonly attempts: number;
  /** Pause after the first failure; it doubles with each further one (default 500). */
  readonly backoffMs: number;
}

export const defaultTiming: Timing = { stallMs: 30_000, attempts: 5, backoffMs: 500 };

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly credentials?: Credentials | undefined;
  readonly timing: Timing;
  readonly signal?: AbortSignal | undefined;
}

/** An answer whose body has not been read. Read it with `chunks`, or drop it with `discard`. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** Hash of the file by an `X-Linked-Etag` on the way, as the Hub's redirects to storage carry. */
  readonly linkedEtag: string | undefined;
  /** @throws Interruption when the connection breaks or stalls */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  discard(): Promise<void>;
}

const maximumRedirects = 10;
/** Below this per `stallMs`, a connection is as good as dead. */
const minimumBytes = 1024;

/**
 * Sends a GET request and follows redirects.
 * @throws Interruption when the connection fails or stalls; UserError when trying again would not help
 */
export async function request(address: string, options: RequestOptions): Promise<Reply> {
  const watch = new Watch(options.timing.stallMs, options.signal);
  try {
    let url = new URL(address);
    let linkedEtag: string | undefined;
    for (let hops = 0; hops <= maximumRedirects; hops++) {
      const response = await fetch(url.href, {
        headers: headersFor(url, options),
        redirect: "manual",
        signal: watch.signal,
      });
      linkedEtag ??= plainEtag(response.headers.get("x-linked-etag"));
      const location = response.headers.get("location");
      if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
        return new FetchReply(response, linkedEtag, watch, address);
      }
      await response.body?.cancel();
      url = redirected(url, location);
    }
    throw new UserError(`${shownUrl(address)} redirects more than ${maximumRedirects} times: check the address`);
  } catch (error) {
    watch.stop();
    throw watch.explain(error, address);
  }
}

function headersFor(url: URL, { headers, credentials }: RequestOptions): Record<string, string> {
  // Ranges and lengths are those of the file itself, not of a compressed form.
  const all: Record<string, string> = { "accept-encoding": "identity", "user-agent": "hub-pathway", ...headers };
  if (credentials && url.origin === credentials.origin) all["authorization"] = `Bearer ${credentials.token}`;
  return all;
}

function redirected(from: URL, location: string): URL {
  if (!URL.canParse(location, from.href)) throw new UserError(`${shownUrl(from)} redirects to no valid address`);
  const to = new URL(location, from.href);
  const isWeb = to.protocol === "https:" || (to.protocol === "http:" && from.protocol === "http:");
  if (!isWeb || to.username !== "" || to.password !== "") {
    throw new UserError(
      `${shownUrl(from)} redirects to an address of ${to.protocol}//${to.host}, which is not followed`,
    );
  }
  return to;
}

/** `"abc"` and `W/"abc"` as abc. */
export function plainEtag(header: string | null): string | undefined {
  return header?.replace(/^W\//, "").replaceAll('"', "") || undefined;
}

class FetchReply implements Reply {
  readonly linkedEtag: string | undefined;
  readonly #response: Response;
  readonly #watch: Watch;
  readonly #address: string;

  constructor(response: Response, linkedEtag: string | undefined, watch: Watch, address: string) {
    this.#response = response;
    this.linkedEtag = linkedEtag;
    this.#watch = watch;
    this.#address = address;
  }

  get status(): number {
    return this.#response.status;
  }

  get headers(): Headers {
    return this.#response.headers;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = this.#response.body?.getReader();
    try {
      while (reader) {
        this.#watch.waiting = true;
        const { done, value } = await reader.read().catch((error: unknown) => {
          throw this.#watch.explain(error, this.#address);
        });
        this.#watch.waiting = false;
        if (done) return;
        this.#watch.received(value.length);
        const given = performance.now();
        yield value;
        this.#watch.busy(performance.now() - given);
      }
    } finally {
      this.#watch.stop();
      await reader?.cancel().catch(() => {});
    }
  }

  async discard(): Promise<void> {
    this.#watch.stop();
    await this.#response.body?.cancel().catch(() => {});
  }
}

/** Ends a request that brings too little in a period; time in which nobody waits for data does not count. */
class Watch {
  waiting = true;
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #user: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #ms: number;
  #bytes = 0;

  constructor(ms: number, user: AbortSignal | undefined) {
    this.#ms = ms;
    this.#user = user;
    this.signal = user ? AbortSignal.any([user, this.#controller.signal]) : this.#controller.signal;
    this.#timer = setInterval(() => {
      if (this.waiting && this.#bytes < minimumBytes) this.#controller.abort();
      this.#bytes = 0;
    }, ms);
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The reader of the data took so long: the server is not to blame for this period. */
  busy(ms: number): void {
    if (ms > this.#ms / 10) this.#bytes += minimumBytes;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  explain(error: unknown, address: string): unknown {
    if (error instanceof UserError || error instanceof Interruption) return error;
    if (this.#user?.aborted) return new UserError(`fetching ${shownUrl(address)} was stopped`, { cause: error });
    if (this.#controller.signal.aborted) return new Interruption(`nothing came for ${this.#ms / 1000} s`);
    return explainNetwork(error, address);
  }
}

const hopeless: Readonly<Record<string, string>> = {
  ENOTFOUND: "there is no such host, or no network",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate cannot be verified",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate cannot be verified",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate cannot be verified",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate belongs to another host",
};

const passing: Readonly<Record<string, string>> = {
  UND_ERR_SOCKET: "the connection was closed",
  ECONNRESET: "the connection was closed",
  ECONNREFUSED: "the connection was refused",
  ETIMEDOUT: "there was no answer in time",
  UND_ERR_CONNECT_TIMEOUT: "there was no answer in time",
  EAI_AGAIN: "the name server did not answer",
};

/** fetch() says only "fetch failed" or "terminated"; the reason is the cause. */
function explainNetwork(error: unknown, address: string): unknown {
  if (!(error instanceof Error)) return error;
  const cause = (error.cause ?? error) as NodeJS.ErrnoException;
  const text = (cause.code ?? cause.message).replaceAll(/\p{Cc}/gu, " ").slice(0, 200);
  if (cause.code !== undefined && !(cause.code in hopeless)) return new Interruption(passing[cause.code] ?? text);
  const reason = hopeless[cause.code ?? ""] ?? text;
  return new UserError(`cannot reach ${shownUrl(address)}: ${reason}`, { cause: error });
}
