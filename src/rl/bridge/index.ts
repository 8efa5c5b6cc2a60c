/** The bridge to Gymnasium environments in Python. */
export { type AtariOptions, GymEnvironment, type GymOptions, openGymEnvironment } from "./gym-environment.ts";
