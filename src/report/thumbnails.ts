/** Images of a run's page, stored in it. */
import sharp from "sharp";
import { scope } from "../torch/index.ts";
import type { JudgedImage } from "./mistakes.ts";
import type { ReportData } from "./report-data.ts";
import { escapeHtml } from "./svg.ts";
import { percent } from "./table.ts";

/** Side at most, pixels. */
const thumbnailSide = 96;

/** An image of the measured split with words below it. */
export interface CaptionedImage {
  id: string;
  /** Position in the data set. */
  index: number;
  caption: string;
}

/** What was predicted and, where that is wrong, what it is. */
export function captioned({ id, index, predicted, truth, probability }: JudgedImage): CaptionedImage {
  return { id, index, caption: predicted === truth ? predicted : `${predicted} ${percent(probability)}, is ${truth}` };
}

/** The images in rows. */
export async function thumbnails(images: readonly CaptionedImage[], data: ReportData): Promise<string> {
  const shots = await Promise.all(images.map((image) => shot(image, data)));
  return `<div class="shots">${shots.join("")}</div>`;
}

async function shot({ id, index, caption }: CaptionedImage, data: ReportData): Promise<string> {
  using pixels = await data.pixels([index]);
  using interleaved = scope(() => pixels.narrow(1, 0, 3).permute([0, 2, 3, 1]).contiguous());
  const side = data.imageSize;
  const jpeg = await sharp(Buffer.from(interleaved.toBytes()), { raw: { width: side, height: side, channels: 3 } })
    .resize(thumbnailSide, thumbnailSide, { withoutEnlargement: true })
    .jpeg({ quality: 80 })
    .toBuffer();
  return (
    `<figure><img alt="${escapeHtml(id)}" title="${escapeHtml(id)}" src="data:image/jpeg;base64,${jpeg.toString("base64")}">` +
    `<figcaption>${escapeHtml(caption)}</figcaption></figure>`
  );
}
