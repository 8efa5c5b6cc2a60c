/** A folder served to a browser, and the browser. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

/** Machines that do much else open a first model in half a minute. */
const patience = 120_000;

const chromiumPath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Why there is no browser here; undefined where there is one. */
export const noBrowser = existsSync(chromiumPath) ? undefined : `no ${chromiumPath}: apt-get install chromium`;

const types: Record<string, string> = {
  ".html": "text/html",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Files of a folder over HTTP, as a static host gives them, and a list of those that were asked for. */
export class StaticServer {
  readonly requested: string[] = [];
  /** Of the page. */
  address = "";
  readonly #server: Server;

  private constructor(folder: string) {
    this.#server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      this.requested.push(pathname);
      const path = join(folder, normalize(pathname.endsWith("/") ? `${pathname}index.html` : pathname));
      if (!existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404).end();
      response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" });
      response.end(readFileSync(path));
    });
  }

  static async start(folder: string): Promise<StaticServer> {
    const server = new StaticServer(folder);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    server.address = `http://127.0.0.1:${(server.#server.address() as AddressInfo).port}/`;
    return server;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** WebGPU without a graphics card: Chromium brings a renderer that computes on the processor. */
const softwareWebGpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

export function openBrowser({ webGpu = false } = {}): Promise<Browser> {
  // Containers run as root, where Chromium has no sandbox. The camera is a pattern that moves.
  const args = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
  return chromium.launch({ executablePath: chromiumPath, args: [...args, ...(webGpu ? softwareWebGpu : [])] });
}

/** What the page says about a file. */
export interface PageAnswer {
  readonly label: string;
  /** 0 … 1, as it is shown: to 0.0005. */
  readonly probability: number;
  /** Names of the models that ran. */
  readonly pathway: readonly string[];
}

/** Opens the page, and waits until it can answer. */
export async function openPage(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.getByRole("status").getByText("Ready.").waitFor({ timeout: patience });
}

/** Gives the page a file as its user does. */
export async function answerOf(page: Page, file: string): Promise<PageAnswer> {
  await page.getByLabel(/choose a file/).setInputFiles(file);
  return shownAnswer(page);
}

export async function shownAnswer(page: Page): Promise<PageAnswer> {
  await page.getByRole("status").getByText("Done.").waitFor({ timeout: patience });
  const [, label = "", percent] = /^(.*), ([\d.]+) %$/s.exec((await page.locator("#label").textContent()) ?? "") ?? [];
  const pathway = await page.locator("#pathway th").allTextContents();
  return { label, probability: Number(percent) / 100, pathway };
}
