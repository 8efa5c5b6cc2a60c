/** What a user should know of images that are read: animations, further pages, and names that say another kind. */
import { openRegularHandle } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { forEachConcurrently, type Watched } from "./concurrent.ts";
import { kindName, kindNamed, magicBytes } from "./formats.ts";
import { IgnoredFiles } from "./scan-folder.ts";
import type { Ignored, Item } from "./types.ts";

/** Kinds that may hold several pictures, and the words for that. */
const several: Readonly<Record<string, string>> = {
  GIF: "with animations",
  WebP: "with animations",
  TIFF: "with several pages",
  AVIF: "with several pictures",
};

/** Bytes in which a PNG says that it is animated. */
const headBytes = 4096;

/**
 * Remarks by reason on the files of a data set that can be read.
 * @param isRead true for positions that are used
 */
export async function remarksOn(
  items: readonly Item[],
  isRead: (position: number) => boolean,
  watched: Watched = {},
): Promise<Ignored[]> {
  const remarks = new IgnoredFiles();
  await forEachConcurrently(
    items,
    async ({ id, source }, position) => {
      if (source.kind !== "file" || !isRead(position)) return;
      const head = await headOf(source.path);
      const kind = kindName(head.subarray(0, magicBytes));
      const named = kindNamed(source.path);
      if (named !== undefined && kind !== undefined && named !== kind) {
        remarks.add(`named as ${named} with ${kind} inside: read as that`, [id]);
      }
      const words = several[kind ?? ""];
      const isAnimated = kind === "PNG" && head.includes("acTL");
      if (isAnimated || (words !== undefined && (await pagesOf(source.path)) > 1)) {
        remarks.add(`${isAnimated ? "with animations" : words}, of which the first picture is used`, [id]);
      }
    },
    { ...watched, step: "looking" },
  );
  return remarks.list;
}

async function headOf(path: string): Promise<Buffer> {
  try {
    await using file = await openRegularHandle(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if (error instanceof UserError) return Buffer.alloc(0);
    throw error;
  }
}

async function pagesOf(path: string): Promise<number> {
  const { default: sharp } = await import("sharp");
  const { pages = 1 } = await sharp(path, { limitInputPixels: false })
    .metadata()
    .catch(() => ({ pages: 1 }));
  return pages;
}
