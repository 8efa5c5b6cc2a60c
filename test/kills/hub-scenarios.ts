/** Kills of the commands that change a hub. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openHub, readManifest, verifyHub } from "../../src/hub/index.ts";
import { FileServer } from "../support/file-server.ts";
import { temporaryFolder, writeSmallHub } from "../support/small-hub.ts";
import type { Place, Scenario } from "./scenario.ts";

const template = writeSmallHub(temporaryFolder());
const weights = join(template, "small-resnet.safetensors");
const config = '{"layers":[1,1],"width":8,"stem":"small","stemStride":2}';
const about = ["--arch", "resnet", "--config", config, "--size", "24", "--normalize", "unit"];
const members = ["small-resnet", "small-convnext", "other-resnet"];

const addTo = (folder: string, source = weights): string[] => [
  ...["hub", "add", "extra", source, "--hub", join(folder, "hub"), ...about],
];

const contents = (folder: string): string[] =>
  existsSync(folder) ? (readdirSync(folder, { recursive: true }) as string[]).sort() : [];

/** Names of a hub's members, which must all be sound; undefined where there is no hub yet. */
function soundMembers(hub: string): string[] | undefined {
  if (!existsSync(join(hub, "hub.json"))) return undefined;
  for (const { name, problems } of verifyHub(openHub(hub))) assert.deepEqual(problems, [], name);
  return readManifest(hub).members.map(({ name }) => name);
}

/** The hub is as before or as after; then the same command makes it as after, and nothing else stays. */
async function addedOrNot({ folder, whole, run }: Place, before: string[] | undefined, again: string[]): Promise<void> {
  const hub = join(folder, "hub");
  const after = [...(before ?? []), "extra"];
  const found = soundMembers(hub);
  assert.ok(
    [before, after].some((state) => JSON.stringify(state) === JSON.stringify(found)),
    `members: ${found}`,
  );
  const { code, stderr } = await run(...again);
  if (found?.includes("extra")) assert.match(stderr, /has a member "extra" already/);
  else assert.equal(code, 0, stderr);
  // Whoever changes the hub next sweeps it.
  if (found?.includes("extra")) assert.equal((await run("hub", "rm", "absent", "--hub", hub)).code, 1);
  assert.deepEqual(soundMembers(hub), after);
  assert.deepEqual(contents(hub), contents(join(whole, "hub")));
}

const addToHub: Scenario = {
  name: "hub add",
  prepare: (folder) => cpSync(template, join(folder, "hub"), { recursive: true }),
  command: (folder) => addTo(folder),
  verify: (place) => addedOrNot(place, members, addTo(place.folder)),
};

const addToNewHub: Scenario = {
  name: "hub add (new hub)",
  prepare: () => {},
  command: (folder) => addTo(folder),
  verify: (place) => addedOrNot(place, undefined, addTo(place.folder)),
};

const remove: Scenario = {
  name: "hub rm",
  prepare: (folder) => cpSync(template, join(folder, "hub"), { recursive: true }),
  command: (folder) => ["hub", "rm", "other-resnet", "--hub", join(folder, "hub")],
  async verify({ folder, whole, run }) {
    const hub = join(folder, "hub");
    const found = soundMembers(hub) ?? [];
    assert.ok(
      [members, members.slice(0, 2)].some((state) => state.join() === found.join()),
      `members: ${found}`,
    );
    const { code, stderr } = await run("hub", "rm", "other-resnet", "--hub", hub);
    if (found.includes("other-resnet")) assert.equal(code, 0, stderr);
    else assert.match(stderr, /has no member "other-resnet"/);
    assert.deepEqual(contents(hub), contents(join(whole, "hub")));
    assert.equal((await run(...addTo(folder))).code, 0, "the next member joins");
  },
};

/** The server's address is known once it runs. */
function fetching(server: FileServer): Scenario {
  return {
    name: "hub add (fetched)",
    prepare: () => {},
    command: (folder) => addTo(folder, `${server.origin}/net.safetensors`),
    async verify(place) {
      await addedOrNot(place, undefined, addTo(place.folder, `${server.origin}/net.safetensors`));
      const left = contents(join(place.folder, "cache")).filter((path) => /\.(?:incomplete|tmp)$/.test(path));
      assert.deepEqual(left, []);
      const [file] = contents(join(place.folder, "cache")).filter((path) => path.endsWith("net.safetensors"));
      assert.deepEqual(readFileSync(join(place.folder, "cache", file ?? "")), readFileSync(weights));
    },
  };
}

/** Scenarios of hubs; `close` ends the server that one of them fetches from. */
export async function hubScenarios(): Promise<{ scenarios: Scenario[]; close: () => Promise<void> }> {
  const server = await FileServer.start();
  server.serve("/net.safetensors", { body: readFileSync(weights), etag: '"1"' });
  return { scenarios: [addToHub, addToNewHub, remove, fetching(server)], close: () => server.stop() };
}
