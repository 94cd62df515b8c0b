/** The client's part of the door. */
export { openRegistryClient } from "./client.ts";
export { credentialHelpers } from "./config.ts";
export {
  authFiles,
  dropAllCredentials,
  dropCredentials,
  findCredentials,
  keepCredentials,
} from "./credentials.ts";
export { inParallel } from "./parallel.ts";
export { type BlobWatch, type PushOptions, type PushResult, pushImage } from "./push.ts";
export type { ChoosePlace } from "./short-names.ts";
export type * from "./types.ts";
