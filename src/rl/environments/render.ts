/**
 * Pictures of grid environments, for a terminal and as PNG. In a cell with several objects the channel that comes last is
 * seen, as in the MinAtar package.
 */
import sharp from "sharp";
import { cells, type GridEnvironment, side } from "./minatar/grid.ts";

export type Grid = Pick<GridEnvironment, "channels">;

/** For each cell the last channel that is set; -1 where there is none. */
function topChannels(grid: Grid, observation: ArrayLike<number>): Int8Array {
  const top = new Int8Array(cells).fill(-1);
  for (let i = 0; i < grid.channels.length * cells; i++) if (observation[i]) top[i % cells] = Math.floor(i / cells);
  return top;
}

/** Ten lines of ten characters, each the symbol of what is seen there; empty cells are blank. */
export function renderText(grid: Grid, observation: ArrayLike<number>): string {
  const symbols = Array.from(topChannels(grid, observation), (channel) => grid.channels[channel]?.symbol ?? " ");
  return Array.from({ length: side }, (_, y) => symbols.slice(y * side, (y + 1) * side).join("")).join("\n");
}

/** A PNG file with `scale` pixels for a cell's side; empty cells are black. */
export function renderPng(grid: Grid, observation: ArrayLike<number>, scale = 32): Promise<Buffer> {
  const pixels = new Uint8Array(cells * 3);
  for (const [i, channel] of topChannels(grid, observation).entries())
    if (channel >= 0) pixels.set(colour(channel, grid.channels.length), i * 3);
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .resize(side * scale, side * scale, { kernel: "nearest" })
    .png()
    .toBuffer();
}

/** Hues spread evenly over the channels, in red, green and blue of 0 to 255. */
export function colour(channel: number, channels: number): [number, number, number] {
  const hue = (channel / channels) * 6;
  const part = (shift: number) => {
    const distance = Math.abs(((hue + shift) % 6) - 3);
    return Math.round(55 + 200 * Math.min(Math.max(distance - 1, 0), 1));
  };
  return [part(0), part(4), part(2)];
}
