/**
 * Pictures of known data sets that look alike without being copies: faces of clocks, flags of one design. They stay on one
 * side of a split, as in every table of docs/results. A line is a group, by the items' names.
 */
import type { Item } from "../types.ts";

export const emojiLookAlikes: readonly string[] = [
  "zero three five eight",
  "flag-ac flag-ai flag-fk flag-gs flag-ky flag-ms flag-pn flag-sh flag-ta flag-tc flag-vg",
  "flag-ea es",
  "flag-cp fr flag-mf",
  "flag-au flag-hm",
  "flag-dg flag-io",
  "flag-eg flag-iq flag-ye",
  "flag-hn flag-ni",
  "flag-bv flag-no flag-sj",
  "flag-eh flag-ps",
  "flag-sark flag-sa",
  "flag-um us",
  "man-boy-boy man-girl-boy family_adult_child_child",
  "man-man-boy man-man-girl family family_adult_adult_child",
  "man-man-boy-boy family_adult_adult_child_child",
  "outbox_tray inbox_tray",
  "clock1 clock2 clock3 clock4 clock5 clock6 clock7 clock8 clock9 clock10 clock11 clock12 " +
    "clock130 clock230 clock330 clock430 clock530 clock630 clock730 clock830 clock930 clock1030 clock1130 clock1230",
  "grinning smiley smile laughing",
  "neutral_face expressionless",
  "kissing kissing_smiling_eyes kissing_closed_eyes",
  "grin grimacing",
  "smiley_cat smirk_cat",
  "confused slightly_frowning_face white_frowning_face",
  "mens womens",
  "sports_medal first_place_medal",
  "cry smiling_face_with_tear",
  "man-boy family_adult_child",
  "six_pointed_star star_of_david",
];

const vendor = "mimetypes/application-vnd";

export const iconLookAlikes: readonly string[] = [
  "actions/im-ban-kick-user.png actions/im-ban-user.png",
  "categories/applications-education-preschool.png categories/applications-toys.png",
  "devices/network-wireless-connected-00.png devices/network-wireless-connected-25.png",
  "mimetypes/application-pgp-keys.png mimetypes/application-pkcs7-mime.png mimetypes/encrypted.png",
  `${vendor}.oasis.opendocument.text-master.png mimetypes/application-x-applix-word.png`,
  "mimetypes/application-x-7z-compressed.png mimetypes/application-x-bzdvi.png",
  "mimetypes/application-x-deb.png mimetypes/application-x-java-archive.png",
  `${vendor}.oasis.opendocument.graphics.png mimetypes/application-x-kontour.png`,
  "mimetypes/application-x-executable-script.png mimetypes/application-x-ms-dos-executable.png",
  "mimetypes/application-x-compressed-tar.png mimetypes/application-x-rpm.png",
  `${vendor}.rn-realmedia.png mimetypes/application-x-shockwave-flash.png`,
  "mimetypes/application-x-srt.png mimetypes/application-x-subrip.png",
  "mimetypes/audio-ac3.png mimetypes/audio-x-flac+ogg.png",
  `${vendor}.oasis.opendocument.formula.png mimetypes/text-mathml.png`,
  "mimetypes/text-calendar.png mimetypes/text-vcalendar.png",
  "mimetypes/text-x-hex.png mimetypes/text-x-log.png",
  "mimetypes/text-x-ldif.png mimetypes/text-x-vcard.png",
  "status/weather-storm-day.png status/weather-storm-night.png",
];

/** The items in groups that hold all their look-alikes, together with those of the groups they were in. */
export function joinLookAlikes(items: readonly Item[], lines: readonly string[]): Item[] {
  const groupOf = new Map(items.map(({ id, group = id }) => [id, group]));
  const joined = new Map<string, string>();
  const find = (group: string): string => {
    const next = joined.get(group);
    return next === undefined ? group : find(next);
  };
  for (const line of lines) {
    const [first, ...rest] = line.split(" ").flatMap((id) => groupOf.get(id) ?? []);
    for (const group of rest) {
      const [from, to] = [find(group), find(first ?? group)];
      if (from !== to) joined.set(from, to);
    }
  }
  return items.map((item) => ({ ...item, group: find(item.group ?? item.id) }));
}
