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
    name: "culmus",
    kind: "debian",
    version: "0.133-1",
    sha256: "d13eb8269204532e4239ce0b133343b8f764fb2069e057ea86060e7396101b30",
    megabytes: 1,
  },
  {
    name: "fonts-beng-extra",
    kind: "debian",
    version: "3.2.1-1",
    sha256: "c7dcba9a609e282c9f719dc9a36c43d275440ad2617bac7995f918fca916be08",
    megabytes: 1,
  },
  {
    name: "fonts-bpg-georgian",
    kind: "debian",
    version: "2012-5",
    sha256: "49f4da40b766e073e58a731b66fa6a4b28c0265fbfefbb62e8199a2565072431",
    megabytes: 1,
  },
  {
    name: "fonts-deva-extra",
    kind: "debian",
    version: "3.0-6",
    sha256: "d2febb47e7fa1eff65d06ece7ec3d5b11b092031ffae53a764fad6cf308d21b6",
    megabytes: 1,
  },
  {
    name: "fonts-gargi",
    kind: "debian",
    version: "2.0-6",
    sha256: "8dd15d756ae594f34b76b9a102cb632d3cae999fe3e4ba526ef2a561a98abd7b",
    megabytes: 1,
  },
  {
    name: "fonts-hosny-amiri",
    kind: "debian",
    version: "0.113-1",
    sha256: "9960dfd0dd13077d8922e0fb742d735377e8eb62c8b08816a86abbc9cd8b9612",
    megabytes: 1,
  },
  {
    name: "fonts-kacst",
    kind: "debian",
    version: "2.01+mry-15",
    sha256: "1a83306b736dbc0a26a10d89b924f1aaaa6743ab5218b2b474be6bbb00b6fa89",
    megabytes: 1,
  },
  {
    name: "fonts-lohit-beng-bengali",
    kind: "debian",
    version: "2.91.5-3",
    sha256: "11051cfa522e259988283009a18d30c94367bdf934f06ee57c59c222e692706d",
    megabytes: 1,
  },
  {
    name: "fonts-lohit-deva",
    kind: "debian",
    version: "2.95.4-5",
    sha256: "f872a508d33322c1c24199656c1edac637c1df63d62cb47e2d23629aa770652f",
    megabytes: 1,
  },
  {
    name: "fonts-lohit-mlym",
    kind: "debian",
    version: "2.92.2-2",
    sha256: "6d50508989f8cfd02a38dfd49922b4e636053c79b5306dd9d9bd20e1c4528897",
    megabytes: 1,
  },
  {
    name: "fonts-nakula",
    kind: "debian",
    version: "1.0-4",
    sha256: "d29808a4bdaec9ff934aa7b3ebb34c01f69bfc450bcc042b24222ea90bd6c714",
    megabytes: 1,
  },
  {
    name: "fonts-noto-core",
    kind: "debian",
    version: "20201225-1",
    sha256: "58f4f0bb6720f919f92096b3508e1412a0f1544424ade6c5b5bf1eb694dd64ba",
    megabytes: 13,
  },
  {
    name: "fonts-sarai",
    kind: "debian",
    version: "1.0-3",
    sha256: "1ae6524bf4133d01219c64917182a1f574440744cef29b5ec384c98cc1552204",
    megabytes: 1,
  },
  {
    name: "fonts-smc-anjalioldlipi",
    kind: "debian",
    version: "7.1.2-2",
    sha256: "988fa16850493fb22e24da9cdc388dc687f501c111eaf0b2ae38d9d21fd358bd",
    megabytes: 1,
  },
  {
    name: "fonts-smc-gayathri",
    kind: "debian",
    version: "1.200-1",
    sha256: "f496b15c359081df1ad5525f380f78916c7ea468e537ae0ded54fe8aa110e847",
    megabytes: 1,
  },
  {
    name: "fonts-smc-manjari",
    kind: "debian",
    version: "2.000-4",
    sha256: "7499f2189dcbbf904226006772725c2d3091ea074d941403cffd2e51618e09c7",
    megabytes: 1,
  },
  {
    name: "fonts-smc-meera",
    kind: "debian",
    version: "7.0.3-1",
    sha256: "4587af9b4c86acf4dfc9f251a736059146900c8bc71681d073ddef70abc73c01",
    megabytes: 1,
  },
  {
    name: "fonts-smc-rachana",
    kind: "debian",
    version: "7.0.2-1",
    sha256: "7d2414a8024d885b560b25167e4e0f0c1c6a3144135264484a755b036e4393b2",
    megabytes: 1,
  },
  {
    name: "fonts-tlwg-garuda-ttf",
    kind: "debian",
    version: "1:0.7.3-1",
    sha256: "b650a7374cc917bc2ea59bf494ab1d024b9bc036004aa7f67ff6b80c62fe7598",
    megabytes: 1,
  },
  {
    name: "fonts-tlwg-kinnari-ttf",
    kind: "debian",
    version: "1:0.7.3-1",
    sha256: "ea50510e185c6b92d8fe2e9e32cc091ac53a52359bd9fd4270f4289431da0cdb",
    megabytes: 1,
  },
  {
    name: "fonts-tlwg-loma-ttf",
    kind: "debian",
    version: "1:0.7.3-1",
    sha256: "8b50518887b766f2744fae0f3a86c5b33d4b4895cd6ac23613c7745275b754c3",
    megabytes: 1,
  },
  {
    name: "fonts-tlwg-norasi-ttf",
    kind: "debian",
    version: "1:0.7.3-1",
    sha256: "0162cde56b2ce3b6f3c18899ec0a30c7e18059251e8c4490e2eff4d98872cf6a",
    megabytes: 1,
  },
  {
    name: "fonts-tlwg-purisa-ttf",
    kind: "debian",
    version: "1:0.7.3-1",
    sha256: "e9081a871f561b19529659e984e9cdb3f2342b776787c6af9f312e862ff4e36d",
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
    name: "tuxpaint-stamps-default",
    kind: "debian",
    version: "2022.06.04-1",
    sha256: "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    megabytes: 161,
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
