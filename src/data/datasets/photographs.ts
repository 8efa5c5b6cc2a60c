/** Target: photographs of things cut out of their background, among Tux Paint's stamps. Nine classes of 19 to 35. */
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Dataset, Item, KnownDataset } from "../types.ts";

/** Paths of some folders or files below another folder. */
const below = (folder: string, ...names: string[]): string[] => names.map((name) => `${folder}/${name}`);

/** Folders, without what lies deeper, and single files. Each image has 100 pixels at least along its longer side. */
const places: Readonly<Record<string, readonly string[]>> = {
  birds: ["animals/birds"],
  "hoofed animals": [
    ...below("animals/mammals", "bovines", "camel", "deer", "equines", "giraffe.png", "hippopotamus.png"),
    ...below("animals/mammals", "pig.png", "pig_golden.png", "pig_golden2.png", "rhino_black.png", "wildboar.png"),
  ],
  "other mammals": [
    ...below("animals/mammals", "apes", "aquatic", "bears", "cats", "dogs", "rodents", "badger.png", "elephant.png"),
    ...below("animals/mammals", "ferret.png", "rabbit_little.png"),
    "animals/marsupials",
  ],
  "fish, insects and others": below("animals", "amphibians", "fish", "insects", "lizards", "shellfish"),
  food: [
    ...below("food/fruit", "Apricot_whole.png", "Cherry_Stella.png", "Strawberry2.png", "apricot.png", "avocado.png"),
    ...below("food/fruit", "cherimoya.png", "grapes.png", "kiwi.png", "lemon.png", "mandarine.png"),
    ...below("food/fruit", "orange_seville.png", "pineapple.png"),
    ...below("food/vegetables", "broccoli.png", "corn.png", "yam.png"),
    ...below("seasonal/christmas", "Christmas_pudding.png", "Mince_Pie.png", "Roast_turkey.png"),
    ...["food/spices", "plants/mushrooms"],
  ],
  plants: ["plants", "plants/flowers", "plants/trees"],
  vehicles: [
    ...below("vehicles", "auto", "construction", "cycle", "emergency", "flight", "flight/planes", "garbagetruck.png"),
    ...below("vehicles", "masstransit", "race", "ship"),
    ...["military/vehicles", "space/apollo_lander.png"],
  ],
  "tools and household": [
    ...["household", "medical"],
    ...below("household", "tools", "dishes/utensils", "dishes/mug.png", "dishes/pitcher_small.png"),
  ],
  "music and sport": [
    "hobbies",
    "sports",
    ...below("hobbies", "music/brass", "music/percussion", "music/string", "music/wind"),
  ],
};

/** All of them. */
export const photographPlaces: readonly string[] = Object.values(places).flat();

/** Drawings, mirrored copies and small images in those folders. */
const left = /_mirror$|^(bee|cricketball|paintbrush_large|rugby_goal_posts|tennis_ball|tooth)$/;

export const photographs: KnownDataset = {
  name: "photographs",
  role: "target",
  summary: "248 photographs of animals, plants and things, cut out, mostly 100 to 400 px, in 9 classes",
  licence: "GPL-2 (Tux Paint stamps, their contributors)",
  origin: "Debian package tuxpaint-stamps-default",
  packages: ["tuxpaint-stamps-default"],
  async open([folder = ""]): Promise<Dataset> {
    const root = join(folder, "usr/share/tuxpaint/stamps");
    const classes = Object.keys(places);
    const items = Object.values(places).flatMap((own, label): Item[] =>
      own
        .flatMap((place) => filesOf(root, place))
        .map((name) => ({
          id: name,
          label,
          source: { kind: "file", path: join(root, name), trim: true },
          group: `${label}/${subjectOf(name)}`,
        })),
    );
    return { name: photographs.name, classes, licence: photographs.licence, origin: photographs.origin, items };
  },
};

function filesOf(root: string, place: string): string[] {
  if (place.endsWith(".png")) return [place];
  return readdirSync(join(root, place))
    .filter((name) => name.endsWith(".png") && !left.test(basename(name, ".png")))
    .sort()
    .map((name) => `${place}/${name}`);
}

/** The first word of a name: cow and cow_white may be one animal. Numbered flowers are different ones. */
function subjectOf(path: string): string {
  const name = basename(path, ".png").toLowerCase();
  if (dirname(path).endsWith("flowers")) return name;
  return /^[a-z]+/.exec(name)?.[0] ?? name;
}
