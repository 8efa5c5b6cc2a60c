/** What the command line says of a setting; type, range and default are its schema's. */
import { z } from "zod";

/** Headings of --help. */
export type SettingGroup = "Images" | "Models" | "Pathways" | "Training" | "Run";

export interface Setting {
  group: SettingGroup;
  help: string;
  /** How its value is written, such as `<n>`; none for a switch. */
  value?: string;
  /** The value in words, where the schema does not say it. */
  must?: string;
  /** What --help says of the default, where that is no fixed value. */
  usually?: string;
  /** Reads what is written after the flag, where that is not the value itself; `before` holds earlier ones of a repeated flag. */
  read?: (text: string, before: unknown) => unknown;
}

export const settings = z.registry<Setting>();
