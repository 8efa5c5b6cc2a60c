/** hub-pathway serve: finished runs and bundles over HTTP, until a signal ends it. */
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { explainRead, shown } from "../io/index.ts";
import { type RunningServer, type ServeOptions, serve } from "../serve/index.ts";
import { ConfigError } from "../torch/index.ts";
import { outputsText } from "../train/index.ts";
import type { Output } from "./context.ts";
import { withInterrupt } from "./interrupt.ts";
import { ownVersion } from "./version.ts";

export interface ServeFlags extends Omit<ServeOptions, "models" | "token" | "version" | "log" | "signal"> {
  tokenFile?: string;
  check?: boolean;
  logLevel?: string;
}

const draining = "no new requests; those that are open are answered; again to quit at once";

export async function serveModels(models: string[], flags: ServeFlags, output: Output): Promise<void> {
  const { tokenFile, check, logLevel, ...options } = flags;
  const token = tokenOf(tokenFile);
  const log = pino({ level: levelOf(logLevel), base: null }, pino.destination({ fd: 2, sync: true }));
  await withInterrupt(async (signal) => {
    const server = await serve({
      ...options,
      models,
      token,
      log,
      signal,
      port: check ? 0 : options.port,
      version: ownVersion(),
    });
    try {
      tell(server, token, output);
      if (!check) await aborted(signal);
    } finally {
      await server.close();
    }
  }, draining);
}

function tell({ url, models }: RunningServer, token: string | undefined, output: Output): void {
  for (const { name, description, path } of models.values()) {
    const { k, members, labels, task } = description;
    const route = members.length > 1 ? `${k} of ${members.length} models for each image` : "one model";
    output.say(`${shown(name)}: ${outputsText(task, labels.length)}, ${route}, from ${shown(path)}`);
  }
  output.say(`listening at ${url}`);
  const isLocal = /\/\/(127\.|localhost|\[::1\])/.test(url);
  if (!isLocal && token === undefined) output.warn("everyone who reaches this address may ask: set a --token-file");
  output.result({ url, models: [...models.values()].map(({ description }) => description) });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function tokenOf(file: string | undefined): string | undefined {
  const text = file === undefined ? process.env["HUB_PATHWAY_TOKEN"] : read(file);
  const token = text?.trim();
  if (token === undefined || (file === undefined && token === "")) return undefined;
  if (/^\S{8,}$/.test(token)) return token;
  throw new ConfigError(
    "the bearer token must be one word of at least 8 characters, such as `openssl rand -hex 16` prints",
  );
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw explainRead(error, file);
  }
}

function levelOf(name = "info"): string {
  if (Object.hasOwn(pino.levels.values, name) || name === "silent") return name;
  throw new ConfigError(
    `--log-level is ${shown(name)}: it must be one of ${Object.keys(pino.levels.values).join(", ")}`,
  );
}
