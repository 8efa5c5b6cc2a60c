/** Packages that hold image data or pre-trained networks, with the checksums of the very files that results were measured on. */

export interface DataPackage {
  name: string;
  kind: "debian" | "npm";
  version: string;
  /** Hash of the downloaded archive. */
  sha256: string;
  megabytes: number;
}

export const packages: readonly DataPackage[] = [
  {
    name: "openclipart-png",
    kind: "debian",
    version: "1:0.18+dfsg-19",
    sha256: "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    megabytes: 131,
  },
  {
    name: "dataset-fashion-mnist",
    kind: "debian",
    version: "0.0~git20200523.55506a9-1",
    sha256: "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    megabytes: 31,
  },
  {
    name: "fonts-dejavu-core",
    kind: "debian",
    version: "2.37-6",
    sha256: "8892669e51aab4dc56682c8e39d8ddb7d70fad83c369344e1e240bf3ca22bb76",
    megabytes: 1,
  },
  {
    name: "fonts-freefont-ttf",
    kind: "debian",
    version: "20120503-10",
    sha256: "4ca1c21ebc479198a3a5879d236c8317d6f7b2f1c403f7890e24c02eead05615",
    megabytes: 3,
  },
  {
    name: "fonts-lato",
    kind: "debian",
    version: "2.0-2.1",
    sha256: "86f50af146a7df9eca4e69f0262e73e708908435ebfa833df797adfa08843bc5",
    megabytes: 3,
  },
  {
    name: "fonts-liberation",
    kind: "debian",
    version: "1:1.07.4-11",
    sha256: "efd381517f958b01969343634ffcbdd60056be7779af84c6f53a005090430204",
    megabytes: 1,
  },
  {
    name: "oxygen-icon-theme",
    kind: "debian",
    version: "5:5.103.0-1",
    sha256: "3e49023e148906e41457a98a19a09858ddd761ef4f212fa356232924b3cebcce",
    megabytes: 32,
  },
  {
    name: "emoji-datasource-google",
    kind: "npm",
    version: "16.0.0",
    sha256: "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    megabytes: 74,
  },
  {
    name: "@mdi/svg",
    kind: "npm",
    version: "7.4.47",
    sha256: "de92e5dc9ce46c392ab5c53aa7190b19f82b40cb48872a083f788c7e13e91fef",
    megabytes: 4,
  },
  {
    name: "nsfwjs",
    kind: "npm",
    version: "4.4.0",
    sha256: "585cd178f3b994337c4d10a87b080d342fc52f8b9bf0085c4d1f345a3a1c5382",
    megabytes: 25,
  },
  {
    name: "@vladmandic/face-api",
    kind: "npm",
    version: "1.7.15",
    sha256: "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
    megabytes: 13,
  },
];

export function findPackage(name: string): DataPackage {
  const found = packages.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no data package "${name}"`);
  return found;
}
