/** The library in a process of its own: how OpenMP waits, how many threads it has, and what is written on standard error. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { freeProcessors } from "../../../src/torch/environment.ts";
import { ConfigError, getNumThreads, setNumThreads } from "../../../src/torch/index.ts";
import { typescript } from "../../support/typescript.ts";

const folder = mkdtempSync(join(tmpdir(), "hub-pathway-environment-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const library = new URL("../../../src/torch/index.ts", import.meta.url).href;

/** Runs `code` with the library as `torch`, behind a launcher if there is one. */
function loaded(code: string, env: NodeJS.ProcessEnv = {}, launcher: readonly string[] = []) {
  return executed(`const torch = await import(${JSON.stringify(library)});\n${code}`, env, launcher);
}

function executed(script: string, env: NodeJS.ProcessEnv, launcher: readonly string[] = []) {
  const command = [process.execPath, ...typescript, "--input-type=module", "-e", script];
  const [program = "", ...args] = [...launcher, ...command];
  const inherited = Object.entries(process.env).filter(([name]) => !/^(K|G)?OMP_|^KMP_|^TORCH_|^GLIBC_/.test(name));
  const result = spawnSync(program, args, { env: { ...Object.fromEntries(inherited), ...env }, encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  return result;
}

/** Waiting policy of OpenMP in rounds of a waiting thread: it names the default "passive" too. */
function openMp(env: NodeJS.ProcessEnv = {}) {
  const { stderr, stdout } = loaded("console.log(process.env.OMP_WAIT_POLICY ?? 'none', torch.getNumThreads())", {
    ...env,
    OMP_DISPLAY_ENV: "verbose",
  });
  return { rounds: roundsOf(stderr), stdout: stdout.trim() };
}

const roundsOf = (stderr: string) => Number(/GOMP_SPINCOUNT = '(\d+)'/.exec(stderr)?.[1]);

test("OpenMP waits without spinning, and the variable is gone afterwards", () => {
  assert.deepEqual(openMp(), { rounds: 0, stdout: `none ${freeProcessors()}` });
});

test("a worker that is the first to load the library sets the same for the whole process", () => {
  const work = `(await import(${JSON.stringify(library)})).getNumThreads()`;
  const script = `import { once } from "node:events";
    import { Worker } from "node:worker_threads";
    const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(${JSON.stringify(work)})));
    await once(worker, "exit");
    const { OMP_WAIT_POLICY, KMP_BLOCKTIME, ONEDNN_PRIMITIVE_CACHE_CAPACITY } = process.env;
    console.log(OMP_WAIT_POLICY ?? "none", KMP_BLOCKTIME ?? "none", ONEDNN_PRIMITIVE_CACHE_CAPACITY);`;
  const { stderr, stdout } = executed(script, { OMP_DISPLAY_ENV: "verbose" });
  assert.equal(stdout.trim(), "none none 8192");
  assert.equal(roundsOf(stderr), 0);
  const own = executed(script, {
    OMP_DISPLAY_ENV: "verbose",
    OMP_WAIT_POLICY: "ACTIVE",
    ONEDNN_PRIMITIVE_CACHE_CAPACITY: "9",
  });
  assert.equal(own.stdout.trim(), "ACTIVE none 9");
  assert.ok(roundsOf(own.stderr) > 1e6);
});

test("a user's own way of waiting and number of threads stand", () => {
  const active = openMp({ OMP_WAIT_POLICY: "ACTIVE", OMP_NUM_THREADS: "1" });
  assert.equal(active.stdout, "ACTIVE 1");
  assert.ok(active.rounds > 1e6);
  assert.equal(openMp({ GOMP_SPINCOUNT: "1234" }).rounds, 1234);
});

/** Resident MiB above those of the start: after 80 MB of tensors are gone, at most while larger ones came, after a trim. */
const residence = `
  const { readFileSync } = await import("node:fs");
  const MiB = (name) => Number(new RegExp(name + ":\\\\s+(\\\\d+)").exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
  const come = (count, MB) => Array.from({ length: count }, () => torch.full([MB * 250_000], 1));
  const go = (tensors) => { for (const tensor of tensors) tensor.dispose(); };
  go(come(1, 1));
  const before = MiB("VmRSS");
  go(come(4, 20));
  const kept = MiB("VmRSS") - before;
  for (const MB of [30, 40, 50, 75]) go(come(1, MB));
  const most = MiB("VmHWM") - before;
  torch.trimMemory();
  console.log(JSON.stringify([kept, most, MiB("VmRSS") - before]));`;

test("memory of tensors is kept where the process is the program's own, adds little to the peak, and goes back when asked", () => {
  const [keptByOthers] = JSON.parse(loaded(residence).stdout);
  assert.ok(keptByOthers < 25, `${keptByOthers} MiB stay`);
  const [kept, most, trimmed] = JSON.parse(loaded(`torch.ownProcess(); ${residence}`).stdout);
  assert.ok(kept > 65, `${kept} MiB stay`);
  assert.ok(most < 165, `${most} MiB at most`);
  assert.ok(trimmed < 25, `${trimmed} MiB stay after a trim`);
});

test("blocks of freed memory give their pages to others, whole, and never belong to two tensors", () => {
  const code = `torch.ownProcess();
    const come = (count, MB) => Array.from({ length: count }, () => torch.zeros([MB * 2 ** 18]));
    const go = (tensors) => { for (const tensor of tensors) tensor.dispose(); };
    go(come(4, 60));
    const faults = () => process.resourceUsage().minorPageFault;
    const first = faults();
    go(come(60, 3));
    const second = faults();
    go(come(4, 60));
    const third = faults();
    const live = new Map();
    let state = 1;
    const random = (most) => (state = (state * 48271) % 2147483647) % most;
    for (let i = 1; i <= 600; i++) {
      const size = 1 + random(10 ** (1 + random(6)));
      live.set(i, torch.full([size], i));
      const [first] = live.keys();
      const gone = live.has(i - random(40)) ? i - random(40) : first;
      live.get(gone)?.dispose();
      live.delete(gone);
    }
    for (const [i, tensor] of live) torch.scope(() => {
      if (tensor.min().item() !== i || tensor.max().item() !== i) throw new Error("block " + i + " was overwritten");
    });
    console.log(JSON.stringify([second - first, third - second, live.size]));`;
  const [parts, whole, live] = JSON.parse(loaded(code).stdout);
  // 180 MiB have 46,000 pages, 240 MiB have 61,000.
  assert.ok(parts < 5000, `${parts} page faults`);
  assert.ok(whole < 5000, `${whole} page faults`);
  assert.ok(live > 20);
});

const groups: [string, Record<string, string>, number][] = [
  ["no control groups", {}, Number.POSITIVE_INFINITY],
  ["a quota", { "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n" }, 1],
  ["no quota", { "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n" }, Number.POSITIVE_INFINITY],
  [
    "a quota of a group above",
    {
      "proc/self/cgroup": "0::/slice/job\n",
      "sys/fs/cgroup/slice/cpu.max": "100000 100000\n",
      "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
    },
    1,
  ],
  ["less than one processor", { "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n" }, 1],
  [
    "a quota of version 1",
    {
      "proc/self/cgroup": "4:memory:/job\n1:cpu,cpuacct:/job\n",
      "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000\n",
      "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    },
    1,
  ],
  [
    "no quota of version 1",
    {
      "proc/self/cgroup": "1:cpu:/\n",
      "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    },
    Number.POSITIVE_INFINITY,
  ],
];

for (const [name, files, processors] of groups) {
  test(`processors under ${name}`, () => {
    const system = mkdtempSync(join(folder, "system-"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(system, path)), { recursive: true });
      writeFileSync(join(system, path), text);
    }
    assert.equal(freeProcessors(system), Math.min(processors, availableParallelism()));
  });
}

test("numbers of threads that no machine has are refused, and change nothing", () => {
  const before = getNumThreads();
  for (const count of [0, -1, 1.5, Number.NaN, 100_000, Math.max(16, cpus().length) + 1]) {
    assert.throws(() => setNumThreads(count), ConfigError, `${count}`);
  }
  assert.equal(getNumThreads(), before);
});

test("an addon without a function of these sources is said to be of others, with what to do", () => {
  const code = `const load = process.dlopen;
    process.dlopen = (module, ...rest) => (load.call(process, module, ...rest), delete module.exports.memory);
    try { torch.memory(); } catch (error) { console.log(error.name, error.message); }`;
  assert.match(loaded(code).stdout, /^ConfigError .*built from other sources \(it has no memory\).*hub-pathway setup/);
});

test("a warning of libtorch is one line, however often it comes", () => {
  const warn = `for (let i = 0; i < 3; i++) torch.call("aten::std.correction", [torch.ones([1])]);`;
  const { stderr } = loaded(warn);
  assert.match(stderr, /^libtorch: std\(\): degrees of freedom[^\n]*\n$/);
});

test("collectives that nobody waits for any more are not spoken of when the process ends", () => {
  const code = `
    const group = new torch.ProcessGroup({ rank: 0, worldSize: 1, host: "127.0.0.1", port: 0, serves: true });
    group.startSum(torch.ones([2]));
    console.log("begun");`;
  const { stdout, stderr } = loaded(code);
  assert.deepEqual([stdout, stderr], ["begun\n", ""]);
});

const hasStrace = spawnSync("strace", ["--version"]).status === 0;

test("convolutions say nothing on a processor that NNPACK does not know", { skip: !hasStrace && "no strace" }, () => {
  const convolve = `torch.setNumThreads(1);
    const [x, w] = [torch.ones([8, 3, 8, 8]), torch.ones([4, 3, 1, 1])];
    torch.call("aten::convolution", [x, w, null, [1, 1], [0, 0], [1, 1], false, [0, 0], 1]);`;
  const unreadable = ["/proc/cpuinfo", "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/present"];
  const trace = ["-f", "-o", "/dev/null", "-e", "trace=openat", "-e", "inject=openat:error=ENOENT"];
  const launcher = ["strace", ...trace, ...unreadable.flatMap((path) => ["-P", path])];
  const { stderr } = loaded(convolve, { TORCH_CPP_LOG_LEVEL: "WARNING" }, launcher);
  const ofTheTrap = /cpuinfo/;
  const lines = stderr.split("\n").filter((line) => line !== "" && !ofTheTrap.test(line));
  assert.deepEqual(lines, []);
});
