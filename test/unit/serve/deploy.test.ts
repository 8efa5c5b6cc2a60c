/** The image and the manifest of Kubernetes against the program: flags, ports, paths of probes, the metric, and who runs it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { parseAllDocuments } from "yaml";
import { buildProgram } from "../../../src/cli/main.ts";
import { buildApp } from "../../../src/serve/app.ts";
import { defaultLimits } from "../../../src/serve/limits.ts";
import { Metrics } from "../../../src/serve/metrics.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

const metrics = new Metrics();
const around = { limits: defaultLimits, metrics, log: pino({ level: "silent" }) };
/** A server of which all but probes asks for a token. */
const app = buildApp({ models: new Map(), around, version: "0", token: "some-token", isDraining: () => false });

/** Asserts that `serve` takes these arguments. @returns values of the flags */
function parsed(args: readonly string[]): Record<string, unknown> {
  const serve = buildProgram([]).commands.find((command) => command.name() === "serve");
  assert.ok(serve);
  let flags: Record<string, unknown> | undefined;
  serve.exitOverride().action((_models: string[], given: Record<string, unknown>) => {
    flags = given;
  });
  serve.parse([...args], { from: "user" });
  assert.ok(flags);
  return flags;
}

/** Asserts that a path answers without a token; there is no model, so that it is not ready. */
async function assertProbe(path: string): Promise<void> {
  assert.ok([200, 503].includes((await app.request(path)).status), path);
}

interface Probe {
  httpGet: { path: string; port: string };
}

interface Container {
  args: string[];
  ports: { name: string; containerPort: number }[];
  securityContext: Record<string, unknown>;
  volumeMounts: { name: string; mountPath: string }[];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
}

interface Manifest {
  kind: string;
  metadata: { name: string };
  spec: Record<string, unknown>;
}

test("the manifest of Kubernetes fits the program", async () => {
  const documents = parseAllDocuments(read("deploy/kubernetes.yaml"));
  const manifests = [...documents].map((document) => {
    assert.deepEqual([...document.errors, ...document.warnings], []);
    return document.toJS() as Manifest;
  });
  const spec = <T>(kind: string) => manifests.find((manifest) => manifest.kind === kind)?.spec as T;
  const { template, selector } = spec<{
    selector: { matchLabels: Record<string, string> };
    template: {
      metadata: { labels: Record<string, string>; annotations: Record<string, string> };
      spec: {
        containers: Container[];
        securityContext: Record<string, unknown>;
        terminationGracePeriodSeconds: number;
        volumes: { name: string }[];
      };
    };
  }>("Deployment");
  const [container] = template.spec.containers;
  assert.ok(container);
  const flags = parsed(container.args);
  assert.deepEqual(container.ports, [{ name: "http", containerPort: flags["port"] }]);
  for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"] as const) {
    const { path, port }: Probe["httpGet"] = container[probe].httpGet;
    assert.equal(port, "http");
    await assertProbe(path);
  }
  assert.ok(template.spec.terminationGracePeriodSeconds * 1000 > Number(flags["deadlineMs"]) + 5000 + 1000);
  assert.equal(template.spec.securityContext["runAsNonRoot"], true);
  assert.deepEqual(
    [container.securityContext["allowPrivilegeEscalation"], container.securityContext["readOnlyRootFilesystem"]],
    [false, true],
  );
  assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === flags["watch"]));
  const volumes = new Set(template.spec.volumes.map(({ name }) => name));
  for (const { name } of container.volumeMounts) assert.ok(volumes.has(name), name);
  assert.deepEqual(template.metadata.annotations["prometheus.io/port"], String(flags["port"]));
  assert.equal((await app.request(template.metadata.annotations["prometheus.io/path"] ?? "")).status, 401);
  assert.deepEqual(selector.matchLabels, template.metadata.labels);
  assert.deepEqual(spec<{ selector: object }>("Service").selector, template.metadata.labels);
  const { metrics: scaled, scaleTargetRef } = spec<{
    metrics: { pods: { metric: { name: string } } }[];
    scaleTargetRef: { kind: string; name: string };
  }>("HorizontalPodAutoscaler");
  assert.equal(scaleTargetRef.name, manifests.find(({ kind }) => kind === scaleTargetRef.kind)?.metadata.name);
  for (const { pods } of scaled) assert.ok(metrics.registry.getSingleMetric(pods.metric.name), pods.metric.name);
});

/** Instructions of a Dockerfile, with continued lines joined. */
function instructions(text: string): [name: string, rest: string][] {
  const lines = text.replaceAll(/^\s*#.*\n/gm, "").replaceAll(/\\\n/g, " ");
  return lines.split("\n").flatMap((line): [string, string][] => {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    assert.ok(line.trim() === "" || name, line);
    return name ? [[name, rest ?? ""]] : [];
  });
}

test("the image is built in two stages, runs as nobody special, and starts the program as it is", async () => {
  const lines = instructions(read("deploy/Dockerfile"));
  const stages = lines.filter(([name]) => name === "FROM").map(([, rest]) => rest);
  assert.equal(stages.length, 2);
  assert.match(stages[0] ?? "", / AS build$/);
  const { engines, scripts } = JSON.parse(read("package.json")) as {
    engines: { node: string };
    scripts: Record<string, string>;
  };
  for (const stage of stages) assert.match(stage, /^node:(\d+)-/);
  assert.ok(Number(/^node:(\d+)/.exec(stages[1] ?? "")?.[1]) >= Number(/\d+/.exec(engines.node)?.[0]));
  const last = lines.slice(lines.findLastIndex(([name]) => name === "FROM"));
  const of = (name: string) => last.filter(([own]) => own === name).map(([, rest]) => rest);
  assert.equal(of("USER").at(-1), "node");
  assert.ok(
    last.findIndex(([name]) => name === "USER") > last.findLastIndex(([name]) => name === "COPY" || name === "RUN"),
  );
  const ignore = read("deploy/Dockerfile.dockerignore").split("\n");
  for (const [, rest] of lines.filter(([name]) => name === "COPY")) {
    if (rest.startsWith("--from=build")) continue;
    for (const source of rest.split(" ").slice(0, -1)) {
      assert.ok(existsSync(join(root, source)), source);
      assert.ok(ignore.includes(`!${source}`), `${source} is in the context`);
    }
  }
  for (const [, script = ""] of read("deploy/Dockerfile").matchAll(/npm run (\w+)/g))
    assert.ok(scripts[script], script);
  const [entry, command] = ["ENTRYPOINT", "CMD"].map((name) => JSON.parse(of(name).at(-1) ?? "") as string[]);
  const [node, program = "", name] = entry ?? [];
  assert.deepEqual([node, existsSync(join(root, program)), name], ["node", true, "serve"]);
  const flags = parsed(command ?? []);
  assert.deepEqual(of("EXPOSE"), [String(flags["port"])]);
  const [health = ""] = of("HEALTHCHECK");
  assert.match(health, new RegExp(`127\\.0\\.0\\.1:${flags["port"]}/`));
  await assertProbe(/127\.0\.0\.1:\d+(\/\w+)/.exec(health)?.[1] ?? "");
});
