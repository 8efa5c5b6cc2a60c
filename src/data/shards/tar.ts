/**
 * WebDataset shards: tar files whose neighbouring files of one name, up to the first dot, are a sample. `.jpg` and such are
 * its image; `.cls`, `.json` with a label, or `.txt` its label.
 */
import { basename } from "node:path";
import { UserError } from "../../torch/index.ts";
import { kindOfName } from "../formats.ts";
import type { LabelCells } from "../label-columns.ts";
import { labelOfObject } from "../labelled-list.ts";
import { IgnoredFiles } from "../scan-folder.ts";
import type { Bytes, TaskKind } from "../types.ts";
import { Window } from "./bytes.ts";
import type { ShardFormat, ShardImage } from "./index-file.ts";

const blockBytes = 512;
/** Most bytes of a file with labels, or of a name. */
const maximumText = 1 << 20;

interface Member {
  name: string;
  offset: number;
  size: number;
  /** The file ends before it does. */
  isCut?: boolean;
}

/** Files of one sample by what follows the first dot of their names. */
interface Sample {
  key: string;
  members: Map<string, Member>;
}

export const tar: ShardFormat = {
  async index(shard, asked, onStep) {
    const window = new Window(shard);
    const ignored = new IgnoredFiles("sample");
    const images: ShardImage[] = [];
    const sources = new Set<string>();
    const seen = new Set<string>();
    const file = basename(shard.name);
    const finish = async (sample: Sample): Promise<void> => {
      const found = await imageOf(sample, window, asked);
      if ("reason" in found) ignored.add(found.reason, [file, sample.key]);
      else if (seen.has(sample.key)) ignored.add("with a name that was there before", [file, sample.key]);
      else {
        seen.add(sample.key);
        sources.add(found.labelledBy);
        images.push(found.image);
      }
    };
    let sample: Sample | undefined;
    for await (const member of membersOf(shard, window)) {
      onStep(member.offset / shard.size);
      const named = nameOf(member.name);
      if (member.isCut && (named?.key ?? sample?.key) === sample?.key) {
        // Its other files alone would be another sample.
        sample = undefined;
      }
      if (member.isCut) ignored.add("cut off where their file ends", [file, named?.key ?? ""]);
      if (!named || member.isCut) continue;
      if (named.key !== sample?.key) {
        if (sample) await finish(sample);
        sample = { key: named.key, members: new Map() };
      }
      sample.members.set(named.ending, member);
    }
    if (sample) await finish(sample);
    const labels = [...sources].sort().join(" and ");
    return { about: shard.name, images, ignored: ignored.list, labels };
  },
  part: (shard) => shard,
};

/** Key and ending of a sample's file; undefined for what systems leave. */
function nameOf(name: string): { key: string; ending: string } | undefined {
  const file = basename(name);
  const dot = file.indexOf(".");
  if (dot <= 0 || /(^|\/)(__MACOSX|PaxHeader[^/]*)\//.test(name)) return undefined;
  const folder = name.slice(0, name.length - file.length).replace(/^\.\//, "");
  return { key: folder + file.slice(0, dot), ending: file.slice(dot + 1).toLowerCase() };
}

async function imageOf(
  { key, members }: Sample,
  window: Window,
  asked: TaskKind | undefined,
): Promise<{ image: ShardImage; labelledBy: string } | { reason: string }> {
  const pictures = [...members].filter(([ending]) => kindOfName(`.${ending}`) === "image");
  // "jpg" before "mask.png"
  const [, image] = pictures.sort(([a], [b]) => Number(a.includes(".")) - Number(b.includes(".")))[0] ?? [];
  if (!image) return { reason: "without an image" };
  const labelled = await labelOf(members, window, asked);
  if (labelled === undefined) return { reason: "without a label (.cls, .json or .txt)" };
  const sha256 = await window.sha256(image.offset, image.size);
  const { offset, size: length } = image;
  return {
    image: { key, part: 0, offset, length, sha256, label: labelled.label as ShardImage["label"] },
    labelledBy: labelled.by,
  };
}

/** `.json` goes first where another label than a class is asked for, which only it can name. */
async function labelOf(
  members: ReadonlyMap<string, Member>,
  window: Window,
  asked: TaskKind | undefined,
): Promise<{ label: LabelCells; by: string } | undefined> {
  const isClass = asked === undefined || asked === "classification";
  for (const by of isClass ? ["cls", "json", "txt"] : ["json", "cls", "txt"]) {
    const member = members.get(by);
    if (!member || member.size > maximumText) continue;
    const content = (await window.read(member.offset, member.size)).toString("utf8").trim();
    const label =
      by === "json"
        ? jsonLabel(content, member.name, asked)
        : { kind: asked ?? "classification", cells: [["label", content] as const] };
    if (label?.cells.every(([, cell]) => cell !== "")) return { label, by: `.${by}` };
  }
  return undefined;
}

function jsonLabel(content: string, where: string, asked: TaskKind | undefined): LabelCells | undefined {
  try {
    return labelOfObject(Object.entries(JSON.parse(content) as object), where, asked);
  } catch {
    return undefined;
  }
}

/** Regular files of a tar, in their order. */
async function* membersOf(shard: Bytes, window: Window): AsyncGenerator<Member> {
  let extended: { name?: string; size?: number } = {};
  for (let at = 0; at < shard.size; ) {
    const header = await window.read(at, blockBytes);
    if (header.length < blockBytes) return yield { name: "", offset: at, size: 0, isCut: true };
    if (header.every((byte) => byte === 0)) return;
    if (checksum(header) !== octal(header, 148, 8)) throw damaged(shard, at, header);
    const type = String.fromCharCode(header[156] ?? 0);
    const own = octal(header, 124, 12);
    const size = extended.size ?? own;
    const offset = at + blockBytes;
    if (!Number.isSafeInteger(size) || size < 0) throw damaged(shard, at);
    const name = extended.name ?? headerName(header);
    const isText = type === "x" || type === "L";
    if (isText && own > maximumText) throw damaged(shard, at);
    if (offset + size > shard.size) return yield { name, offset, size, isCut: true };
    if (type === "L") extended = { ...extended, name: text(await window.read(offset, own)) };
    else if (type === "x") extended = { ...extended, ...paxOf(await window.read(offset, own)) };
    else if (type !== "g" && type !== "K") {
      extended = {};
      if (type === "0" || type === "\0" || type === "7") yield { name, offset, size };
    }
    at = offset + Math.ceil((isText ? own : size) / blockBytes) * blockBytes;
  }
}

function damaged({ name }: Bytes, at: number, header?: Buffer): UserError {
  const isFirst = at === 0 && header !== undefined;
  if (isFirst && header[0] === 0x1f && header[1] === 0x8b) {
    return new UserError(`${name} is compressed, so that no image in it can be read alone: unpack it with gunzip`);
  }
  return new UserError(
    isFirst ? `${name} is no tar file` : `${name} is damaged: there is no file's header at byte ${at}`,
  );
}

const text = (bytes: Buffer): string => bytes.toString("utf8").replace(/\0.*$/s, "");

function headerName(header: Buffer): string {
  const isUstar = header.toString("latin1", 257, 262) === "ustar" && header[263] !== 0x20;
  const prefix = isUstar ? text(header.subarray(345, 500)) : "";
  const name = text(header.subarray(0, 100));
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** A number of a header: octal digits, or binary after a set first bit. */
function octal(header: Buffer, at: number, length: number): number {
  const field = header.subarray(at, at + length);
  if (((field[0] ?? 0) & 0x80) === 0) return Number.parseInt(text(field).trim() || "0", 8);
  return field.reduce((sum, byte, i) => sum * 256 + (i === 0 ? byte & 0x7f : byte), 0);
}

/** Sum of a header's bytes, with spaces in place of the sum itself. */
function checksum(header: Buffer): number {
  return header.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 0x20 : byte), 0);
}

/** Name and size of the next file by an extended header: lines "LENGTH KEY=VALUE". */
function paxOf(bytes: Buffer): { name?: string; size?: number } {
  const result: { name?: string; size?: number } = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString("latin1", at, space));
    if (space < 0 || !(length > space - at)) break;
    const [, key, value] = /^([^=]*)=(.*)\n$/s.exec(bytes.toString("utf8", space + 1, at + length)) ?? [];
    if (key === "path" && value) result.name = value;
    if (key === "size") result.size = Number(value);
    at += length;
  }
  return result;
}
