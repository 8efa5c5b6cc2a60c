/**
 * Hosts of a network on this machine: network namespaces, with links of a delay and a rate between them (switch.c). They
 * need root, iproute2, a C compiler and /dev/net/tun.
 */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./small-hub.ts";

/** Of every link between a host and the switch. */
export interface Link {
  /** Time that a packet takes from one host to another, milliseconds. */
  delayMs?: number;
  /** Megabits a second in each direction; no limit when left out. */
  mbits?: number;
}

/** Bytes of packets, their headers included. */
export interface Traffic {
  sent: number;
  received: number;
}

const prefix = "hub-pathway-";

/** The reason why there can be no hosts here; undefined where there can. */
export function whyNoHosts(): string | undefined {
  if (process.getuid?.() !== 0) return "hosts as network namespaces need root";
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  for (const program of ["ip", "cc"]) {
    if (spawnSync(program, ["-V"], { stdio: "ignore" }).error) return `${program} is not installed`;
  }
  const name = `${prefix}${process.pid}-probe`;
  if (spawnSync("ip", ["netns", "add", name], { stdio: "ignore" }).status !== 0) return "ip netns add is refused";
  ip("netns", "del", name);
  return undefined;
}

export class Hosts implements AsyncDisposable {
  /** Names of the namespaces. */
  readonly names: readonly string[];
  readonly #switch: ChildProcess;

  private constructor(names: readonly string[], process: ChildProcess) {
    this.names = names;
    this.#switch = process;
  }

  /** So many hosts, at most 16; each reaches the others at their addresses. */
  static async open(count: number, { delayMs = 0, mbits = 0 }: Link = {}): Promise<Hosts> {
    sweep();
    const names = Array.from({ length: count }, (_, i) => `${prefix}${process.pid}-${i}`);
    for (const name of names) ip("netns", "add", name);
    const args = [String(1000 * delayMs), String(mbits), ...names];
    const child = spawn(compiled(), args, { stdio: ["pipe", "pipe", "inherit"] });
    const hosts = new Hosts(names, child);
    try {
      await Promise.race([once(child.stdout, "data"), failure(child)]);
      for (const [i, name] of names.entries()) {
        ip("-n", name, "link", "set", "lo", "up");
        ip("-n", name, "addr", "add", `${hosts.address(i)}/24`, "dev", "net0");
        ip("-n", name, "link", "set", "net0", "mtu", "65000", "txqueuelen", "10000", "up");
        // Windows for a long and fat link, 10 Gbit/s for 40 ms are 50 MB, from the first packet on. The switch loses nothing, so
        // that reno never slows down; cubic takes a queue for a jam.
        const sysctls = [
          "tcp_rmem=4096 16000000 128000000",
          "tcp_wmem=4096 16000000 128000000",
          "tcp_slow_start_after_idle=0",
          "tcp_congestion_control=reno",
        ];
        const writes = sysctls
          .map((one) => one.split("="))
          .map(([key, value]) => `echo ${value} > /proc/sys/net/ipv4/${key}`);
        execFileSync("ip", ["netns", "exec", name, "sh", "-c", writes.join(" && ")]);
      }
      return hosts;
    } catch (error) {
      await hosts[Symbol.asyncDispose]();
      throw error;
    }
  }

  address(host: number): string {
    return `10.77.0.${host + 1}`;
  }

  /** Starts a program on a host; Gloo finds the network there. */
  spawn(host: number, command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const env = { ...(options.env ?? process.env), GLOO_SOCKET_IFNAME: "net0" };
    return spawn("ip", ["netns", "exec", this.#name(host), ...command], { ...options, env });
  }

  /** Drops all packets from and to a host, until `join`. */
  cut(host: number): void {
    this.#switch.stdin?.write(`cut ${host}\n`);
  }

  join(host: number): void {
    this.#switch.stdin?.write(`join ${host}\n`);
  }

  /** Changes all links, for what is sent from now on. */
  setLink({ delayMs = 0, mbits = 0 }: Link): void {
    this.#switch.stdin?.write(`link ${1000 * delayMs} ${mbits}\n`);
  }

  /** What a host has sent and received since it was opened, as its interface counts. */
  traffic(host: number): Traffic {
    const [link] = JSON.parse(ip("-n", this.#name(host), "-s", "-j", "link", "show", "net0")) as [
      { stats64: Record<"rx" | "tx", { bytes: number }> },
    ];
    return { sent: link.stats64.tx.bytes, received: link.stats64.rx.bytes };
  }

  #name(host: number): string {
    const name = this.names[host];
    if (name === undefined) throw new RangeError(`there is no host ${host}`);
    return name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#switch.exitCode === null) {
      this.#switch.stdin?.end();
      await once(this.#switch, "exit");
    }
    for (const name of this.names) ip("netns", "del", name);
  }
}

/** Starts a program with one thread on each host, as ranks of one group whose store is the first one's; without hosts it is alone. */
export function startOn(hosts: Hosts | undefined, command: readonly string[], options: SpawnOptions): ChildProcess[] {
  const env = { ...(options.env ?? process.env), OMP_NUM_THREADS: "1" };
  const [program = "", ...args] = command;
  if (!hosts) return [spawn(program, args, { ...options, env })];
  const { names } = hosts;
  const group = { WORLD_SIZE: String(names.length), MASTER_ADDR: hosts.address(0), MASTER_PORT: "29500" };
  return names.map((_, rank) =>
    hosts.spawn(rank, command, { ...options, env: { ...env, ...group, RANK: String(rank) } }),
  );
}

function ip(...args: string[]): string {
  return execFileSync("ip", args, { encoding: "utf8" });
}

async function failure(child: ChildProcess): Promise<never> {
  const [code] = await once(child, "exit");
  throw new Error(`the switch ended with exit code ${code}`);
}

/** Removes the namespaces of processes that were killed. */
function sweep(): void {
  for (const name of existsSync("/run/netns") ? readdirSync("/run/netns") : []) {
    const [, pid] = /^hub-pathway-(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) ip("netns", "del", name);
  }
}

let program: string | undefined;

function compiled(): string {
  if (program !== undefined) return program;
  const source = fileURLToPath(new URL("./switch.c", import.meta.url));
  program = join(temporaryFolder(), "switch");
  execFileSync("cc", ["-O2", "-Wall", "-Werror", "-o", program, source]);
  return program;
}
