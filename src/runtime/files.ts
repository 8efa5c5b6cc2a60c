/** The files of a bundle: where they come from, and that they are those that were exported. */
import { BundleError } from "./check.ts";
import { type Bundle, manifestName, parseBundle } from "./manifest.ts";
import { platform, type StoredResponses } from "./platform.ts";

/** A place that files are read from by their names. */
export interface BundleSource {
  /** A folder or address, for messages. */
  readonly where: string;
  /** @param isFresh past whatever the way there remembers @throws BundleError when there is no such file */
  read(name: string, signal?: AbortSignal, isFresh?: boolean): Promise<Uint8Array<ArrayBuffer>>;
}

/** @throws BundleError when the address is none */
export function sourceAt(address: string | URL): BundleSource {
  const where = addressOf(address);
  return {
    where,
    async read(name, signal, isFresh = false) {
      const url = `${where}/${name}`;
      // Node's types do not know the cache of browsers.
      const init = { signal: signal ?? null, cache: isFresh ? ("reload" as const) : ("default" as const) };
      const response = await fetch(url, init).catch((cause: unknown) => {
        if (signal?.aborted) throw cause;
        throw new BundleError(`${url} cannot be fetched: is this page offline?`, { cause });
      });
      if (!response.ok) throw new BundleError(`${url} cannot be fetched: the server answers ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    },
  };
}

function addressOf(address: string | URL): string {
  try {
    return new URL(address, platform.location?.href).href.replace(/\/+$/, "");
  } catch (cause) {
    throw new BundleError(`${String(address)} is no address of a bundle`, { cause });
  }
}

/** Files with their hashes checked, kept by the Cache API where there is one. */
export class BundleFiles {
  readonly bundle: Bundle;
  readonly #source: BundleSource;
  readonly #cache: StoredResponses | undefined;
  /** Bytes that came from the source, and not from the cache. */
  fetched: number;

  private constructor(bundle: Bundle, source: BundleSource, cache: StoredResponses | undefined, fetched: number) {
    this.bundle = bundle;
    this.#source = source;
    this.#cache = cache;
    this.fetched = fetched;
  }

  /** @throws BundleError when there is no bundle, or one of another version */
  static async open(source: BundleSource, signal?: AbortSignal): Promise<BundleFiles> {
    const manifest = await source.read(manifestName, signal);
    const bundle = parseBundle(new TextDecoder().decode(manifest), `${source.where}/${manifestName}`);
    // Caches are there on secure pages only, and folders need none.
    const isRemote = /^https?:/.test(source.where);
    const cache = isRemote ? await platform.caches?.open("hub-pathway").catch(() => undefined) : undefined;
    return new BundleFiles(bundle, source, cache, manifest.length);
  }

  get where(): string {
    return this.#source.where;
  }

  /** @throws BundleError when a file is missing, or is another than was exported */
  async read(name: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const { sha256 } = this.bundle.files[name] as Bundle["files"][string];
    const key = `${this.where}/${name}?sha256=${sha256}`;
    const stored = await this.#cache?.match(key);
    if (stored) {
      const bytes = new Uint8Array(await stored.arrayBuffer());
      if ((await sha256Of(bytes)) === sha256) return bytes;
    }
    const bytes = (await this.#checked(name, sha256, signal)) ?? (await this.#checked(name, sha256, signal, true));
    if (!bytes)
      throw new BundleError(
        `${this.where}/${name} is damaged or was replaced (its hash is another): restore it, or export the run again`,
      );
    // A full disk is no reason to give no answer.
    await this.#cache?.put(key, new Response(bytes)).catch(() => undefined);
    return bytes;
  }

  /** Undefined when the file is another: a browser may still remember the one of an earlier export. */
  async #checked(name: string, sha256: string, signal?: AbortSignal, isFresh?: boolean) {
    const bytes = await this.#source.read(name, signal, isFresh);
    this.fetched += bytes.length;
    return (await sha256Of(bytes)) === sha256 ? bytes : undefined;
  }
}

async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!crypto.subtle)
    throw new BundleError("hashes cannot be checked here: open the page over https or from localhost");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
