/**
 * An episode as a moving picture: what the agent saw, the return so far, and a legend of the hub's agents in which the
 * active ones are lit.
 */
import { mkdirSync } from "node:fs";
import { dirname, extname } from "node:path";
import sharp, { type Sharp } from "sharp";
import { writeFileAtomic } from "../../io/index.ts";
import { ConfigError, UserError } from "../../torch/index.ts";
import type { ObservationForm } from "../agents/observations.ts";
import { classicDrawing, type Drawing } from "../environments/classic/draw.ts";
import { colour } from "../environments/render.ts";
import type { PlayedFrame } from "./evaluate.ts";

/** Pixels: width of the film, height of a line of text. */
const [filmWidth, lineHeight] = [240, 18];
/** Longer episodes are shown up to here. */
const mostFrames = 1500;
const frameMilliseconds = 80;
/** Pictures with sides from here on are camera frames, not grids of objects. */
const cameraSide = 36;

type Colour = readonly [red: number, green: number, blue: number];

interface Shown extends PlayedFrame {
  /** Sum of the rewards up to and with this step. */
  total: number;
}

interface Raw {
  data: Buffer;
  width: number;
  height: number;
}

export class EpisodeVideo {
  readonly #path: string;
  readonly #form: ObservationForm;
  readonly #members: readonly string[];
  readonly #drawing: Drawing | undefined;
  readonly #frames: Shown[] = [];
  #total = 0;
  /** Frames that did not fit. */
  skipped = 0;

  /**
   * @param members names of the hub's agents, none for an agent alone
   * @throws ConfigError for another file type than .gif and .webp, UserError for observations that nobody can draw
   */
  constructor(path: string, form: ObservationForm, members: readonly string[]) {
    const [, height, width] = form.shape;
    if (![".gif", ".webp"].includes(extname(path).toLowerCase())) {
      throw new ConfigError(`${path}: a video is written as .gif or .webp`);
    }
    this.#drawing = classicDrawing(form.environment);
    if (height * width === 1 && !this.#drawing) {
      throw new UserError(
        `${form.environment} shows ${form.elements} numbers, and this program has no drawing of it: leave out --video`,
      );
    }
    // Not after a hundred episodes: the folder may not be writable.
    mkdirSync(dirname(path), { recursive: true });
    this.#path = path;
    this.#form = form;
    this.#members = members;
  }

  add(frame: PlayedFrame): void {
    this.#total += frame.reward;
    if (this.#frames.length >= mostFrames) this.skipped += 1;
    else this.#frames.push({ ...frame, total: this.#total });
  }

  /** Writes the file. @throws UserError when there is no frame, or the file cannot be written */
  async save(): Promise<void> {
    if (this.#frames.length === 0) throw new UserError("there is no episode to show");
    const pages: Raw[] = [];
    for (const [step, frame] of this.#frames.entries()) pages.push(await this.#page(frame, step + 1));
    const [{ width, height }] = pages as [Raw, ...Raw[]];
    const raw = { width, height: height * pages.length, channels: 3 as const, pageHeight: height };
    const image = sharp(Buffer.concat(pages.map((page) => page.data)), { raw, limitInputPixels: false });
    const options = { delay: new Array<number>(pages.length).fill(frameMilliseconds), loop: 0 };
    const isGif = extname(this.#path).toLowerCase() === ".gif";
    const encoded = isGif ? image.gif(options) : image.webp({ ...options, lossless: true });
    writeFileAtomic(this.#path, await encoded.toBuffer());
  }

  async #page(frame: Shown, step: number): Promise<Raw> {
    const picture = await this.#picture(frame.observation);
    const caption = await rasterise(sharp(Buffer.from(this.#caption(frame, step))));
    return {
      data: Buffer.concat([picture.data, caption.data]),
      width: filmWidth,
      height: picture.height + caption.height,
    };
  }

  #picture(observation: ArrayLike<number>): Promise<Raw> {
    if (this.#drawing) return rasterise(sharp(Buffer.from(this.#drawing(observation))).resize(filmWidth));
    const [, height, width] = this.#form.shape;
    const pixels = pixelsOf(observation, this.#form);
    const image = sharp(pixels, { raw: { width, height, channels: 3 } });
    return rasterise(image.resize(filmWidth, Math.round((filmWidth * height) / width), { kernel: "nearest" }));
  }

  #caption({ total, active }: Shown, step: number): string {
    const rows = this.#members.map((name, i) => {
      const [y, isActive] = [(i + 1) * lineHeight, active.includes(i)];
      const [red, green, blue] = colour(i, this.#members.length);
      const opacity = isActive ? 1 : 0.15;
      return (
        `<rect x="6" y="${y + 4}" width="10" height="10" fill="rgb(${red},${green},${blue})" fill-opacity="${opacity}"/>` +
        `<text x="22" y="${y + 13}" fill="#fff" fill-opacity="${isActive ? 1 : 0.45}">${escapeXml(name)}</text>`
      );
    });
    const height = (this.#members.length + 1) * lineHeight;
    const text = `step ${step}   return ${Number(total.toFixed(2))}`;
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${filmWidth}" height="${height}" font-family="sans-serif" font-size="12">` +
      `<rect width="100%" height="100%" fill="#111"/><text x="6" y="13" fill="#fff" xml:space="preserve">${text}</text>${rows.join("")}</svg>`
    );
  }
}

async function rasterise(image: Sharp): Promise<Raw> {
  const { data, info } = await image
    .flatten({ background: "#fff" })
    .toColourspace("srgb")
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Red, green and blue of each cell. */
function pixelsOf(observation: ArrayLike<number>, form: ObservationForm): Uint8Array {
  const [channels, height, width] = form.shape;
  const isCamera = height >= cameraSide && width >= cameraSide;
  const pixels = new Uint8Array(height * width * 3);
  for (let at = 0; at < height * width; at++) {
    const shade = isCamera ? grey(observation, form, at) : topColour(observation, channels, height * width, at);
    if (shade) pixels.set(shade, at * 3);
  }
  return pixels;
}

/** The colour of the last channel that is set in a cell. */
function topColour(observation: ArrayLike<number>, channels: number, cells: number, at: number): Colour | undefined {
  for (let channel = channels - 1; channel >= 0; channel--) {
    if (observation[channel * cells + at]) return colour(channel, channels);
  }
  return undefined;
}

/** Grey of a pixel of the newest frame. */
function grey(observation: ArrayLike<number>, { shape, scale }: ObservationForm, at: number): Colour {
  const [channels, height, width] = shape;
  const value = Math.round((255 * (observation[(channels - 1) * height * width + at] ?? 0)) / scale);
  return [value, value, value];
}
