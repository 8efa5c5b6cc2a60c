/** Files that are mistaken for PyTorch's, by their first bytes. */

const tarMagicAt = 257;
/** Members of the tar files of PyTorch before 0.1.10. */
const tarMembers = ["sys_info", "pickle", "storages", "tensors"];

/** What the file is instead and what to do; undefined when nothing speaks against PyTorch. */
export function describeForeign(head: Buffer): string | undefined {
  const text = head.toString("latin1");
  if (head.length === 0) return "it is empty; download it again";
  if (text.startsWith("version https://git-lfs")) {
    return "it is only a Git LFS pointer to the weights; fetch them with `git lfs pull`";
  }
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) {
    return "it is a web page, not weights; check the address it was downloaded from";
  }
  if (text.startsWith("\x89HDF")) return "it is an HDF5 file (Keras?), which is not supported";
  if (text.startsWith("\x1f\x8b")) return "it is compressed with gzip; unpack it first";
  if (text.startsWith("\x93NUMPY")) return "it is a NumPy array; save the weights with torch.save or as safetensors";
  if (head.length > 10 && text[8] === "{" && head.readUInt32LE(4) === 0) {
    return "it looks like safetensors; give it that format, and the ending .safetensors";
  }
  if (isTar(text)) {
    return "it is a tar file, as PyTorch wrote before version 0.2; load it with an old PyTorch and save it again";
  }
  return undefined;
}

function isTar(text: string): boolean {
  if (text.slice(tarMagicAt, tarMagicAt + 5) === "ustar") return true;
  return tarMembers.some((name) => text.startsWith(`${name}\0`) || text.startsWith(`./${name}\0`));
}
