import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { scanFolder } from "../../../src/data/scan-folder.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryFolder } from "./support.ts";

const png = Buffer.from("\x89PNG\r\n\x1a\n and so on", "latin1");

function write(path: string, content: string | Buffer = png): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

const names = (root: string) => scanFolder(root).images.map(({ parts }) => parts.join("/"));
const reasons = (root: string) =>
  Object.fromEntries(scanFolder(root).ignored.list.map(({ reason, count }) => [reason, count]));

test("files are images by their names, or by what they begin with", () => {
  const root = temporaryFolder();
  for (const name of ["a/1.png", "a/2.JPG", "a/3.jfif", "a/4.tif", "a/5.avif", "a/no-ending", "a/deep/er/6.webp"])
    write(join(root, name));
  assert.deepEqual(names(root), [
    "a/1.png",
    "a/2.JPG",
    "a/3.jfif",
    "a/4.tif",
    "a/5.avif",
    "a/deep/er/6.webp",
    "a/no-ending",
  ]);
  assert.deepEqual(reasons(root), {});
});

test("everything else is counted by reason", () => {
  const root = temporaryFolder();
  write(join(root, "a/1.png"));
  for (const name of [
    "a/._1.png",
    "a/.hidden/1.png",
    "a/.ipynb_checkpoints/1.png",
    "__MACOSX/a/._1.png",
    "a/@eaDir/1.png",
    "a/Thumbs.db",
  ])
    write(join(root, name));
  for (const name of ["a/1.ppm", "a/2.PGM", "a/IMG.JXL", "a/film.mp4", "a/notes.txt"]) write(join(root, name), "x");
  write(join(root, "a/bitmap"), "P6 20 20 255 ");
  write(join(root, "a/unknown"), "what is this");
  execFileSync("mkfifo", [join(root, "a/pipe.png")]);
  assert.deepEqual(names(root), ["a/1.png"]);
  assert.deepEqual(reasons(root), {
    "hidden, or made by the system": 6,
    "PNM images, which are not read: convert them to PNG or JPEG": 3,
    "JPEG XL images, which are not read: convert them to PNG or JPEG": 1,
    "video files": 1,
    "text files": 1,
    "of no known kind": 1,
    "not regular files": 1,
  });
});

test("links are followed once, by real path, and never upwards", () => {
  const [root, store] = [temporaryFolder(), temporaryFolder()];
  write(join(root, "a/1.png"));
  write(join(store, "green/2.png"));
  write(join(store, "3.png"));
  const link = (target: string, name: string) => symlinkSync(target, join(root, name));
  link(join(store, "green"), "green");
  link(join(store, "green"), "later");
  link(join(store, "3.png"), "a/3.png");
  link("..", "a/up");
  link("/", "a/everything");
  link("../a", "a/itself");
  link("nowhere", "a/broken.png");
  link("loop", "a/loop");
  symlinkSync(store, join(store, "green/around"));
  assert.deepEqual(names(root), ["a/1.png", "a/3.png", "green/2.png"]);
  const { ignored } = scanFolder(root);
  assert.deepEqual(
    ignored.list.map(({ count, reason, examples }) => `${count} ${reason}: ${examples.join(" ")}`),
    [
      "4 links to a folder around them: a/everything a/itself a/up green/around",
      "2 links that lead nowhere: a/broken.png a/loop",
      "1 links to a folder that is counted already: later",
    ],
  );
});

test("names that are no UTF-8 are refused for folders and counted for files", () => {
  const root = temporaryFolder();
  write(join(root, "a/1.png"));
  writeFileSync(Buffer.concat([Buffer.from(join(root, "a/gr")), Buffer.from([0xfc]), Buffer.from("n.png")]), png);
  assert.match(JSON.stringify(scanFolder(root).ignored.list), /no UTF-8.*a\/grün\.png/);
  mkdirSync(Buffer.concat([Buffer.from(join(root, "gr")), Buffer.from([0xfc]), Buffer.from("n")]));
  assert.throws(
    () => scanFolder(root),
    (error) => error instanceof UserError && /"grün".*convmv/.test(error.message),
  );
});

type Node =
  | { kind: "image" | "junk" | "text" }
  | { kind: "folder"; children: Record<string, Node> }
  | { kind: "link"; to: string };

const name = fc.constantFrom("a", "b", "c", "d.png", "e.png", "._f.png", ".git", "notes.txt");
const target = fc.array(fc.constantFrom("..", "a", "b", "c", "d.png", "outside"), { minLength: 1, maxLength: 4 });
const tree = fc.letrec<{ node: Node; folder: Node }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthIdentifier: "tree" },
    fc.constantFrom<Node>({ kind: "image" }, { kind: "junk" }, { kind: "text" }),
    target.map((parts): Node => ({ kind: "link", to: parts.join("/") })),
    tie("folder"),
  ),
  folder: fc.dictionary(name, tie("node"), { maxKeys: 5 }).map((children): Node => ({ kind: "folder", children })),
})).folder;

function build(path: string, node: Node): void {
  if (node.kind === "link") symlinkSync(node.to, path);
  else if (node.kind !== "folder") writeFileSync(path, node.kind === "image" ? png : node.kind);
  else {
    mkdirSync(path, { recursive: true });
    for (const [child, value] of Object.entries(node.children)) build(join(path, child), value);
  }
}

test("in any tree with links and junk, each real image is counted at most once for each name it has itself", () => {
  fc.assert(
    fc.property(tree, (made) => {
      const home = temporaryFolder();
      write(join(home, "outside/g.png"));
      build(join(home, "root"), made);
      const scan = scanFolder(join(home, "root"));
      const real = scan.images.filter(({ linked }) => !linked);
      assert.equal(new Set(real.map((image) => image.real)).size, real.length);
      const folders = scan.folders.map((parts) => realpathSync(join(home, "root", ...parts)));
      assert.equal(new Set(folders).size, folders.length);
      for (const { parts, real: path } of scan.images) {
        assert.equal(realpathSync(join(home, "root", ...parts)), path);
        assert.ok(parts.every((part) => !part.startsWith(".")));
      }
      // Files that no link reaches are found without exception.
      const plain: string[] = [];
      const walk = (node: Node, parts: string[]): void => {
        if (node.kind === "image") plain.push(parts.join("/"));
        if (node.kind !== "folder") return;
        for (const [child, value] of Object.entries(node.children)) {
          if (!child.startsWith(".")) walk(value, [...parts, child]);
        }
      };
      walk(made, []);
      const found = new Set(scan.images.map(({ parts }) => parts.join("/")));
      assert.deepEqual(
        plain.filter((path) => !found.has(path) && !path.endsWith(".txt")),
        [],
      );
    }),
    { numRuns: 100 },
  );
});
