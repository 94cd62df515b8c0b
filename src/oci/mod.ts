/** The door of `oci/`: the image and runtime specs as values. No I/O. */
export * from "./canonical.ts";
export * from "./chain-id.ts";
export type { ConfigOptions, ConfigWarning } from "./config-reader.ts";
export * from "./digest.ts";
export { type Complaint, compact, type DocumentKind, Field } from "./field.ts";
export * from "./image-types.ts";
export * from "./media-types.ts";
export { parseImageConfig, parseLayoutHeader, requireSameLayers } from "./parse-config.ts";
export {
  type DocumentLimits,
  parseIndex,
  parseManifest,
  parseManifestOrIndex,
  requireImage,
} from "./parse-manifest.ts";
export * from "./runtime-config.ts";
export * from "./runtime-state.ts";
export { parseRuntimeConfig, type ValidatedConfig, validateRuntimeConfig } from "./validate-runtime.ts";
export { sysctlNamespace, sysctlPath } from "./validate-sysctl.ts";
