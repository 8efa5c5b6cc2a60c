/** Kinds of files by their first bytes and their names, and what is wrong with one that cannot be decoded. */
import { isHeic, readsHeic } from "./heic.ts";

/** Kinds of images that are read. */
export const readableKinds = "PNG, JPEG, WebP, GIF, AVIF, BMP, TIFF or SVG";

const readableNames = /\.(png|jpe?g|jfif|jpe|webp|gif|avif|bmp|dib|tiff?|svg)$/i;

/** Pictures of other kinds, by the endings of their names. */
const otherPictures: readonly (readonly [RegExp, string])[] = [
  [/\.hei[cf]$/i, "HEIC"],
  [/\.(p[bgpn]m|pfm)$/i, "PNM"],
  [/\.(jp2|j2k|jpx)$/i, "JPEG 2000"],
  [/\.jxl$/i, "JPEG XL"],
  [/\.(dng|cr[23]|nef|arw|orf|rw2|raf)$/i, "camera raw"],
  [/\.(psd|xcf|ai|eps)$/i, "drawing program"],
  [/\.(dcm|nii|nii\.gz|mha|mhd|nrrd)$/i, "medical image"],
  [/\.(ico|icns|tga|exr|hdr|dds)$/i, "other image"],
];

/** Files that people keep beside images. */
const otherFiles: readonly (readonly [RegExp, string])[] = [
  [/\.(mp4|mov|avi|mkv|webm|m4v|mpe?g|3gp)$/i, "video"],
  [/\.pdf$/i, "PDF"],
  [/\.(npy|npz|mat|h5|hdf5|pkl|pt|tfrecord)$/i, "array"],
  [/\.(zip|tar|gz|tgz|7z|rar|bz2|xz)$/i, "archive"],
  [/\.(txt|md|csv|tsv|json|jsonl|xml|ya?ml|html?|py|ipynb|log|ini|cfg|rst|docx?|xlsx?)$/i, "text"],
];

/** Meaning of a file's name: an image to be read, a kind that is not, or nothing. */
export function kindOfName(name: string): "image" | { unreadable: string } | undefined {
  if (readableNames.test(name)) return "image";
  const [, picture] = otherPictures.find(([pattern]) => pattern.test(name)) ?? [];
  if (picture === "HEIC" && readsHeic()) return "image";
  if (picture !== undefined) return { unreadable: unreadPicture(picture) };
  const [, other] = otherFiles.find(([pattern]) => pattern.test(name)) ?? [];
  return other === undefined ? undefined : { unreadable: `${other} files` };
}

const unreadPicture = (kind: string) =>
  `${kind} images, which are not read: convert them to PNG or JPEG${kind === "HEIC" ? heicAdvice : ""}`;

const heicAdvice = ", or run npm install heic-decode";

/** Bytes at the beginning of a file that say what it is. */
export const magicBytes = 64;

interface Kind {
  name: string;
  readable: boolean;
  starts(head: Buffer): boolean;
  /** True when the file goes on to its end; absent where that cannot be told. */
  ends?(bytes: Buffer): boolean;
}

const at =
  (offset: number, ...texts: string[]) =>
  (head: Buffer) =>
    texts.some((text) => head.toString("latin1", offset, offset + text.length) === text);

const kinds: readonly Kind[] = [
  {
    name: "JPEG",
    readable: true,
    starts: at(0, "\xff\xd8\xff"),
    ends: (bytes) => bytes.includes(Buffer.from([0xff, 0xd9]), Math.max(2, bytes.length - (1 << 16))),
  },
  { name: "PNG", readable: true, starts: at(0, "\x89PNG\r\n\x1a\n"), ends: (bytes) => bytes.includes("IEND", -64) },
  {
    name: "WebP",
    readable: true,
    starts: (head) => at(0, "RIFF")(head) && at(8, "WEBP")(head),
    ends: (bytes) => bytes.length >= 12 && bytes.readUInt32LE(4) + 8 <= bytes.length,
  },
  { name: "GIF", readable: true, starts: at(0, "GIF87a", "GIF89a"), ends: (bytes) => bytes.includes(0x3b, -16) },
  { name: "TIFF", readable: true, starts: at(0, "II*\0", "MM\0*", "II+\0", "MM\0+") },
  { name: "AVIF", readable: true, starts: at(4, "ftypavif", "ftypavis") },
  {
    name: "BMP",
    readable: true,
    starts: (head) => at(0, "BM")(head) && head.length > 14 && head.readUInt32LE(6) === 0,
  },
  { name: "SVG", readable: true, starts: (head) => /^\s*(<\?xml|<svg|<!--)/.test(head.toString("utf8")) },
  { name: "HEIC", readable: false, starts: isHeic },
  { name: "PNM", readable: false, starts: (head) => /^P[1-7f]\s/i.test(head.toString("latin1", 0, 3)) },
  { name: "JPEG XL", readable: false, starts: at(0, "\xff\x0a", "\0\0\0\x0cJXL ") },
  { name: "JPEG 2000", readable: false, starts: at(0, "\0\0\0\x0cjP  ", "\xff\x4f\xff\x51") },
  { name: "video", readable: false, starts: (head) => at(4, "ftyp")(head) || at(0, "\x1a\x45\xdf\xa3")(head) },
  { name: "PDF", readable: false, starts: at(0, "%PDF") },
  { name: "Photoshop", readable: false, starts: at(0, "8BPS") },
  { name: "archive", readable: false, starts: at(0, "PK\x03\x04", "\x1f\x8b", "7z\xbc\xaf", "Rar!") },
  { name: "AppleDouble", readable: false, starts: at(0, "\0\x05\x16\x07") },
  { name: "git-LFS pointer", readable: false, starts: at(0, "version https://git-lfs") },
  {
    name: "web page",
    readable: false,
    starts: (head) => /^\s*<(!doctype html|html|head)/i.test(head.toString("latin1")),
  },
];

/** Name of the kind of a file by its first bytes. */
export const kindName = (head: Buffer): string | undefined => kinds.find((one) => one.starts(head))?.name;

const kindEndings: readonly (readonly [RegExp, string])[] = [
  [/\.(jpe?g|jfif|jpe)$/i, "JPEG"],
  [/\.png$/i, "PNG"],
  [/\.webp$/i, "WebP"],
  [/\.gif$/i, "GIF"],
  [/\.tiff?$/i, "TIFF"],
  [/\.avif$/i, "AVIF"],
  [/\.(bmp|dib)$/i, "BMP"],
  [/\.svg$/i, "SVG"],
  [/\.hei[cf]$/i, "HEIC"],
];

/** Name of the kind that a file's name says. */
export const kindNamed = (name: string): string | undefined => kindEndings.find(([ending]) => ending.test(name))?.[1];

/** Meaning of the first bytes of a file. */
export function kindOfBytes(head: Buffer): "image" | { unreadable: string } {
  const kind = kinds.find((one) => one.starts(head.subarray(0, magicBytes)));
  if (!kind) return { unreadable: "of no known kind" };
  if (kind.readable || (kind.name === "HEIC" && readsHeic())) return "image";
  const isPicture = otherPictures.some(([, name]) => name === kind.name);
  return { unreadable: isPicture ? unreadPicture(kind.name) : `${kind.name} files` };
}

/** Fault of a file that the decoder refused, in words that say what to do; undefined where that cannot be told. */
export function damageOf(bytes: Buffer): string | undefined {
  if (bytes.length === 0) return "the file is empty (0 bytes)";
  const kind = kinds.find((one) => one.starts(bytes.subarray(0, magicBytes)));
  if (!kind)
    return bytes.every((byte) => byte === 0) ? "it holds nothing but zeros" : `it is no image (${readableKinds})`;
  if (kind.name === "git-LFS pointer") return "it is a pointer of git-LFS, not the image: run `git lfs pull`";
  if (kind.name === "HEIC" && readsHeic())
    return "the HEIC image in it is damaged, or of a kind that heic-decode does not read";
  if (!kind.readable) {
    const advice = kind.name === "HEIC" ? heicAdvice : "";
    return `it is no ${readableKinds} but ${kind.name}: convert it to PNG or JPEG${advice}`;
  }
  if (kind.ends && !kind.ends(bytes)) return `it ends early: a ${kind.name} cut off after ${bytes.length} bytes`;
  return undefined;
}
