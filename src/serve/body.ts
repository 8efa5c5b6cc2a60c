/** A request's body as the images that it brings, within limits. Addresses of images are never followed. */
import type { IncomingMessage } from "node:http";
import type { Limits } from "./limits.ts";
import { Problem } from "./problem.ts";
import { predictBody } from "./schemas.ts";

/** An image, and the part of the request that brought it. */
export interface SentImage {
  readonly field: string;
  /** A file's, or pixels where they have a size. */
  readonly bytes: Uint8Array;
  /** Of pixels [height, width, 3]. */
  readonly size?: { readonly width: number; readonly height: number };
}

type BodyLimits = Pick<Limits, "maxBody" | "maxImages">;

/**
 * @param over rejects when the body is of no use any more: Node says nothing of a body that goes on behind an answer
 * @throws Problem 413 as soon as the body is larger than the limit; 400 when the client breaks off; what `over` rejects with
 */
export async function readBody(
  incoming: IncomingMessage,
  { maxBody }: BodyLimits,
  over: Promise<never>,
): Promise<Buffer> {
  const tooLarge = () =>
    new Problem(
      413,
      "body-too-large",
      `the body has more than ${maxBody} bytes: send fewer or smaller images at a time`,
      { field: "body" },
    );
  if (Number(incoming.headers["content-length"] ?? 0) > maxBody) throw tooLarge();
  const parts: Buffer[] = [];
  let length = 0;
  // Listeners: an async iterator costs several times as much for a body of one part.
  return new Promise((resolve, reject) => {
    const settle = (settled: () => void) => {
      incoming.off("data", take).off("end", end).off("close", cut).off("error", cut);
      settled();
    };
    const take = (part: Buffer) => {
      length += part.length;
      parts.push(part);
      if (length <= maxBody) return;
      incoming.pause();
      settle(() => reject(tooLarge()));
    };
    const end = () => settle(() => resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)));
    const cut = () => settle(() => reject(cutOff()));
    if (incoming.destroyed && !incoming.readableEnded) return reject(cutOff());
    incoming.on("data", take).on("end", end).on("close", cut).on("error", cut);
    over.catch((error: unknown) => settle(() => reject(error)));
  });
}

function cutOff(): Problem {
  return new Problem(400, "body-cut-off", "the body ended before it was complete: send it again", { field: "body" });
}

/** @throws Problem 415 for a kind of body that brings no images; 400, 413 or 422 for one that is not as it should be */
export async function imagesIn(
  incoming: IncomingMessage,
  limits: BodyLimits,
  over: Promise<never>,
): Promise<SentImage[]> {
  const type = incoming.headers["content-type"] ?? "";
  const kind = type.split(";")[0]?.trim().toLowerCase() ?? "";
  const read = kinds.find(({ pattern }) => pattern.test(kind))?.read;
  if (!read) {
    const sent = kind === "" ? "no content type" : `"${kind.slice(0, 100)}"`;
    const detail = `the body has ${sent}: send an image (image/…), multipart/form-data, or JSON with base64`;
    throw new Problem(415, "media-type", detail, { field: "content-type" });
  }
  const images = await read(await readBody(incoming, limits, over), type);
  if (images.length === 0 || images.some(({ bytes }) => bytes.length === 0)) {
    throw new Problem(422, "no-image", "there is no image, or an empty one: send at least one", {
      field: images[0]?.field ?? "body",
    });
  }
  if (images.length > limits.maxImages) {
    const detail = `${images.length} images at a time, at most ${limits.maxImages}: send them in several requests`;
    throw new Problem(413, "too-many-images", detail, { field: "images" });
  }
  return images;
}

type Reader = (body: Buffer, type: string) => Promise<SentImage[]> | SentImage[];

const kinds: readonly { pattern: RegExp; read: Reader }[] = [
  { pattern: /^(?:image\/[\w.+-]+|application\/octet-stream)$/, read: (bytes) => [{ field: "body", bytes }] },
  { pattern: /^multipart\/form-data$/, read: fromParts },
  { pattern: /^application\/json$/, read: fromJson },
];

/** Every part that is a file; other parts are refused, so that no wish is passed over. */
async function fromParts(body: Buffer, type: string): Promise<SentImage[]> {
  let form: FormData;
  try {
    form = await new Response(new Uint8Array(body), { headers: { "content-type": type } }).formData();
  } catch {
    const detail = "the body is no multipart/form-data: let the client set content type and boundary itself";
    throw new Problem(400, "bad-multipart", detail, { field: "body" });
  }
  const images: SentImage[] = [];
  for (const [field, value] of form) {
    if (typeof value !== "string") images.push({ field, bytes: new Uint8Array(await value.arrayBuffer()) });
    else
      throw new Problem(422, "no-file", `"${field.slice(0, 100)}" is text: send files, and choices in the query`, {
        field,
      });
  }
  return images;
}

function fromJson(body: Buffer): SentImage[] {
  const { image, images } = checked(predictBody, parseJson(body));
  if (image !== undefined && images !== undefined) {
    throw new Problem(422, "invalid", "image and images are both there: leave one of them out", { field: "image" });
  }
  const decoded = (field: string, text: string) => ({ field, bytes: Buffer.from(text, "base64") });
  if (image !== undefined) return [decoded("image", image)];
  return (images ?? []).map((text, i) => decoded(`images[${i}]`, text));
}

/** @throws Problem 400 for what is not JSON */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new Problem(400, "bad-json", "the body is not JSON", { field: "body" });
  }
}

interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } };
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

/** @throws Problem 422 naming the first field that is not as the schema has it */
export function checked<T>(schema: Schema<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalid(parsed.error.issues[0]);
}

export function invalid(issue: Issue | undefined): Problem {
  const path = [...(issue?.path ?? []), ...(issue?.keys?.slice(0, 1) ?? [])];
  const field = path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${String(part)}`))
    .join("");
  const name = field.slice(0, 100) || "body";
  return new Problem(422, "invalid", `${name}: ${issue?.message ?? "not as it should be"}`, { field: name });
}
