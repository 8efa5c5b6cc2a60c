/** What browsers have and Node may lack, by the few names that are used: whoever has no DOM types can compile this. */

/** ImageBitmap, OffscreenCanvas, a canvas or an image of the page. */
export interface Drawable {
  readonly width: number;
  readonly height: number;
}

interface Context {
  drawImage(image: Drawable, x: number, y: number): void;
  getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
}

export interface StoredResponses {
  match(request: string): Promise<Response | undefined>;
  put(request: string, response: Response): Promise<void>;
}

interface Platform {
  createImageBitmap?(image: Blob): Promise<Drawable & { close(): void }>;
  OffscreenCanvas?: new (
    width: number,
    height: number,
  ) => { getContext(kind: "2d", options: { willReadFrequently: boolean }): Context | null };
  caches?: { open(name: string): Promise<StoredResponses> };
  navigator?: { gpu?: { requestAdapter(): Promise<unknown> } };
  location?: { href: string };
}

export const platform = globalThis as unknown as Platform;
