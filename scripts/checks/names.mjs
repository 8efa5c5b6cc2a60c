/** Nothing in the repository depends on where it was made: no registry's host name, no path of one machine. */
import { textOf } from "./files.mjs";

// In pieces, so that this file passes its own check.
const hosts = [
  ["registry", "npmjs", "org"],
  ["registry", "yarnpkg", "com"],
  ["pypi", "org"],
  ["pythonhosted", "org"],
  ["download", "pytorch", "org"],
  ["deb", "debian", "org"],
  ["proxy", "golang", "org"],
].map((parts) => parts.join("."));
const folders = ["work", "root"].map((name) => `/${name}/`);

/** Addresses of released files, beside the index of the same host: libtorch's archives, and weights of torchvision. */
const allowed = "(?!/(?:libtorch|models)/)";

const literally = (text) => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
const pattern = new RegExp(
  `(?:${hosts.map(literally).join("|")})${allowed}|(?<![\\w.~@-])(?:${folders.map(literally).join("|")})`,
);

export function checkNames(root, files) {
  const problems = [];
  for (const file of files) {
    const lines = (textOf(root, file) ?? "").split("\n");
    lines.forEach((line, i) => {
      const match = pattern.exec(line);
      if (match) problems.push(`${file}:${i + 1}: ${match[0]}`);
    });
  }
  return problems;
}
