/** One walk through a folder of the user's: every file is an image, or left out for a reason that is counted. */
import fs from "node:fs";
import { join, sep } from "node:path";
import { explainRead, openRegular, quoted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { kindOfBytes, kindOfName, magicBytes } from "./formats.ts";
import { shardEnding } from "./shards/ending.ts";
import type { Ignored } from "./types.ts";

export interface FoundImage {
  /** Folders and name, from the scanned folder on. */
  parts: readonly string[];
  /** Path of the bytes, links resolved. */
  real: string;
  /** The file itself is a link. */
  linked: boolean;
}

export interface FolderScan {
  /** In the order of their paths. */
  images: FoundImage[];
  /** All folders below the scanned one that are no junk, as parts. */
  folders: (readonly string[])[];
  /** Parquet files and tars, as parts; they are data where there are no images beside them. */
  shards: (readonly string[])[];
  ignored: IgnoredFiles;
}

/** Names that systems and programs leave among images. */
const junk = /^(\..*|__MACOSX|@eaDir|#recycle|\$RECYCLE\.BIN|System Volume Information|lost\+found)$/i;
const junkFiles = /^(thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r)$/i;

/** Names that are kept for a reason. */
export const mostNames = 10_000;

/** Files that are left out, or rows and samples, by reason. */
export class IgnoredFiles {
  readonly #reasons = new Map<string, Ignored>();
  readonly #unit: Ignored["unit"];

  constructor(unit?: Ignored["unit"]) {
    this.#unit = unit;
  }

  add(reason: string, parts: readonly string[]): void {
    const entry = this.#reasons.get(reason) ?? {
      ...(this.#unit && { unit: this.#unit }),
      reason,
      count: 0,
      examples: [],
    };
    this.#reasons.set(reason, entry);
    entry.count += 1;
    if (entry.examples.length < mostNames) entry.examples.push(parts.join("/"));
  }

  /** The most frequent reason first. */
  get list(): Ignored[] {
    return [...this.#reasons.values()].sort((a, b) => b.count - a.count || (a.reason < b.reason ? -1 : 1));
  }
}

/**
 * Finds the images below a folder. Links are followed, each folder once by its real path and real folders first, so that
 * no link multiplies images.
 * @throws UserError naming a folder that cannot be read, or whose name is no UTF-8
 */
export function scanFolder(root: string): FolderScan {
  return new Scanner().scan(root);
}

interface Link {
  path: string;
  parts: readonly string[];
}

class Scanner {
  readonly #images: FoundImage[] = [];
  readonly #folders: (readonly string[])[] = [];
  readonly #shards: (readonly string[])[] = [];
  readonly #ignored = new IgnoredFiles();
  /** Real paths of folders. */
  readonly #visited = new Set<string>();
  readonly #links: Link[] = [];

  scan(root: string): FolderScan {
    this.#visit(fs.realpathSync(root), []);
    for (let next = 0; next < this.#links.length; next++) this.#follow(this.#links[next] as Link);
    const sorted = this.#images.map((image) => ({ image, key: image.parts.join("/") }));
    sorted.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
    const images = sorted.map(({ image }) => image);
    if (images.length > 0) for (const parts of this.#shards) this.#ignored.add("shards beside images", parts);
    return { images, folders: this.#folders, shards: this.#shards, ignored: this.#ignored };
  }

  #visit(folder: string, parts: readonly string[]): void {
    if (this.#visited.has(folder)) {
      this.#ignored.add("links to a folder that is counted already", parts);
      return;
    }
    this.#visited.add(folder);
    if (parts.length > 0) this.#folders.push(parts);
    for (const entry of entriesOf(folder)) {
      const name = entry.name.toString("utf8");
      const own = [...parts, name];
      if (!Buffer.from(name).equals(entry.name)) this.#refuseName(entry, parts);
      else if (junk.test(name) || (junkFiles.test(name) && !entry.isDirectory())) this.#ignored.add(hidden, own);
      else if (entry.isDirectory()) this.#visit(join(folder, name), own);
      else if (entry.isSymbolicLink()) this.#links.push({ path: join(folder, name), parts: own });
      else if (entry.isFile()) this.#classify(join(folder, name), own);
      else this.#ignored.add("not regular files", own);
    }
  }

  #follow({ path, parts }: Link): void {
    let real: string;
    let stat: fs.Stats;
    try {
      real = fs.realpathSync(path);
      stat = fs.statSync(real);
    } catch {
      this.#ignored.add("links that lead nowhere", parts);
      return;
    }
    if (stat.isFile()) this.#classify(real, parts, true);
    else if (!stat.isDirectory()) this.#ignored.add("not regular files", parts);
    else if (path.startsWith(real.endsWith(sep) ? real : real + sep)) {
      this.#ignored.add("links to a folder around them", parts);
    } else this.#visit(real, parts);
  }

  #classify(real: string, parts: readonly string[], linked = false): void {
    if (shardEnding.test(parts.at(-1) ?? "")) {
      this.#shards.push(parts);
      return;
    }
    const kind = kindOfName(parts.at(-1) ?? "") ?? kindOfContent(real);
    if (kind === "image") this.#images.push({ parts, real, linked });
    else this.#ignored.add(kind.unreadable, parts);
  }

  /** A folder is no small loss; a file is one among others. */
  #refuseName(entry: fs.Dirent<Buffer>, parts: readonly string[]): void {
    const guess = [...parts, entry.name.toString("latin1")];
    if (!entry.isDirectory()) {
      this.#ignored.add("with names that are no UTF-8, shown as Latin-1 (convmv can rename them)", guess);
      return;
    }
    throw new UserError(
      `the folder ${quoted(guess.join("/"))}, shown as Latin-1, has a name that is no UTF-8: rename it, ` +
        "for example with `convmv -f latin1 -t utf8 --notest -r FOLDER`",
    );
  }
}

const hidden = "hidden, or made by the system";

function entriesOf(folder: string): fs.Dirent<Buffer>[] {
  try {
    const entries = fs.readdirSync(folder, { withFileTypes: true, encoding: "buffer" });
    return entries.sort((a, b) => Buffer.compare(a.name, b.name));
  } catch (error) {
    throw explainRead(error, folder);
  }
}

/** First bytes of a file with an unknown name. */
function kindOfContent(path: string): "image" | { unreadable: string } {
  const head = Buffer.alloc(magicBytes);
  try {
    const file = openRegular(path);
    try {
      return kindOfBytes(head.subarray(0, fs.readSync(file, head, 0, magicBytes, 0)));
    } finally {
      fs.closeSync(file);
    }
  } catch (error) {
    if (error instanceof UserError) return { unreadable: "not readable" };
    throw error;
  }
}
