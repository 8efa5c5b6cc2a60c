/** Every format that the fuzzer knows. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadMembers, openHub } from "../../src/hub/index.ts";
import { writeSmallHub } from "../support/small-hub.ts";
import { mutateBytes } from "./bytes.ts";
import { contentOf, type Files, type Format, withFile } from "./format.ts";
import { mutateJson } from "./json.ts";
import { onnxFormat, tfjsFormat } from "./networks.ts";
import { ownFormats } from "./runs.ts";
import { shardFormats } from "./shards.ts";
import { safetensorsFormat, torchFormat } from "./weights.ts";

const manifestName = "hub.json";

function hubFiles(): Files {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-fuzz-seed-"));
  try {
    const dir = writeSmallHub(folder);
    const names = [manifestName, ...readdirSync(dir).filter((name) => name !== manifestName)];
    return new Map(names.map((name) => [name, readFileSync(join(dir, name))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const manifestFormat: Format = {
  name: "manifest",
  seeds: () => [hubFiles()],
  mutate: (random, files, other) => {
    const bytes = contentOf(files, manifestName);
    const changed = random.chance(0.9)
      ? Buffer.from(mutateJson(random, bytes.toString()))
      : mutateBytes(random, bytes, contentOf(other, manifestName));
    return withFile(files, manifestName, changed);
  },
  open: (path) => {
    const hub = openHub(dirname(path));
    const names = hub.manifest.members.slice(0, 1).map(({ name }) => name);
    for (const member of loadMembers(hub, { names })) member.dispose();
  },
};

export const formats: readonly Format[] = [
  safetensorsFormat,
  torchFormat,
  onnxFormat,
  tfjsFormat,
  manifestFormat,
  ...ownFormats,
  ...shardFormats,
];
