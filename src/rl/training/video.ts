/** An episode as a moving picture: what the agent saw, and below it one box for each agent of the hub, lit when active. */
import { mkdirSync } from "node:fs";
import { dirname, extname } from "node:path";
import sharp from "sharp";
import { writeFileAtomic } from "../../io/index.ts";
import { ConfigError, UserError } from "../../torch/index.ts";
import type { ObservationForm } from "../agents/observations.ts";
import { colour } from "../environments/render.ts";
import type { PlayedFrame } from "./evaluate.ts";

/** Pixels: least side of the picture, height of the boxes, gap around them. */
const [leastSide, boxHeight, gap] = [160, 14, 2];
/** Longer episodes are shown up to here. */
const mostFrames = 1500;
const frameMilliseconds = 80;
/** Pictures with sides from here on are camera frames, not grids of objects. */
const cameraSide = 36;

type Colour = readonly [number, number, number];

export class EpisodeVideo {
  readonly #path: string;
  readonly #form: ObservationForm;
  readonly #models: number;
  readonly #frames: Uint8Array[] = [];
  readonly #scale: number;
  /** Frames that did not fit. */
  skipped = 0;

  /** @throws ConfigError for another file type than .gif and .webp, UserError for observations that are no pictures */
  constructor(path: string, form: ObservationForm, models: number) {
    const [, height, width] = form.shape;
    if (![".gif", ".webp"].includes(extname(path).toLowerCase())) {
      throw new ConfigError(`${path}: a video is written as .gif or .webp`);
    }
    if (height * width === 1) {
      throw new UserError(`${form.environment} shows numbers, not pictures: there is nothing to film`);
    }
    // Not after a hundred episodes: the folder may not be writable.
    mkdirSync(dirname(path), { recursive: true });
    this.#path = path;
    this.#form = form;
    this.#models = models;
    this.#scale = Math.max(1, Math.round(leastSide / Math.max(height, width)));
  }

  get #width(): number {
    return this.#form.shape[2] * this.#scale;
  }

  get #height(): number {
    return this.#form.shape[1] * this.#scale + (this.#models > 0 ? boxHeight : 0);
  }

  add(frame: PlayedFrame): void {
    if (this.#frames.length >= mostFrames) {
      this.skipped += 1;
      return;
    }
    const pixels = new Uint8Array(this.#width * this.#height * 3);
    this.#drawObservation(frame, pixels);
    for (let model = 0; model < this.#models; model++) {
      this.#drawBox(model, frame.active.includes(model), pixels);
    }
    this.#frames.push(pixels);
  }

  /** Writes the file. @throws UserError when there is no frame, or the file cannot be written */
  async save(): Promise<void> {
    const count = this.#frames.length;
    if (count === 0) throw new UserError("there is no episode to show");
    const [width, pageHeight] = [this.#width, this.#height];
    const raw = { width, height: pageHeight * count, channels: 3 as const, pageHeight };
    const image = sharp(Buffer.concat(this.#frames), { raw, limitInputPixels: false });
    const options = { delay: new Array<number>(count).fill(frameMilliseconds), loop: 0 };
    const isGif = extname(this.#path).toLowerCase() === ".gif";
    const encoded = isGif ? image.gif(options) : image.webp({ ...options, lossless: true });
    writeFileAtomic(this.#path, await encoded.toBuffer());
  }

  #drawObservation({ observation }: PlayedFrame, pixels: Uint8Array): void {
    const [channels, height, width] = this.#form.shape;
    const isCamera = height >= cameraSide && width >= cameraSide;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = y * width + x;
        const shade = isCamera
          ? grey(observation, this.#form, at)
          : topColour(observation, channels, height * width, at);
        if (shade) this.#fill(x * this.#scale, y * this.#scale, this.#scale, this.#scale, shade, pixels);
      }
    }
  }

  #drawBox(model: number, isActive: boolean, pixels: Uint8Array): void {
    const [from, to] = [model, model + 1].map((i) => Math.round((i * this.#width) / this.#models)) as [number, number];
    const top = this.#height - boxHeight + gap;
    const own = colour(model, this.#models);
    const shade: Colour = isActive ? own : [own[0] >> 3, own[1] >> 3, own[2] >> 3];
    this.#fill(from + gap, top, to - from - 2 * gap, boxHeight - 2 * gap, shade, pixels);
  }

  #fill(x: number, y: number, width: number, height: number, shade: Colour, pixels: Uint8Array): void {
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) pixels.set(shade, (row * this.#width + column) * 3);
    }
  }
}

/** The colour of the last channel that is set in a cell. */
function topColour(observation: ArrayLike<number>, channels: number, cells: number, at: number): Colour | undefined {
  for (let channel = channels - 1; channel >= 0; channel--) {
    if (observation[channel * cells + at]) return colour(channel, channels);
  }
  return undefined;
}

/** Of the newest frame. */
function grey(observation: ArrayLike<number>, { shape, scale }: ObservationForm, at: number): Colour {
  const [channels, height, width] = shape;
  const value = Math.round((255 * (observation[(channels - 1) * height * width + at] ?? 0)) / scale);
  return [value, value, value];
}
