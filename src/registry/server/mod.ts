/** The server's side of the distribution spec. */

export type { AccessOptions } from "./access/authenticate.ts";
export type { AccessRule } from "./access/rules.ts";
export type { Access, Action, Identity } from "./access/types.ts";
export { isUpstreamUrl, parseServeConfig, type ServeConfig } from "./config.ts";
export type { Exchange } from "./http/exchange.ts";
export type { EventSink, RegistryEvent } from "./observe/events.ts";
export type { Webhook, Webhooks } from "./observe/webhooks.ts";
export { makePages, type PageOptions } from "./pages/pages.ts";
export { Policy, type PolicyOptions, type RepositoryRule, type Retention } from "./policy.ts";
export { type Registry, type RegistryOptions, startRegistry } from "./registry.ts";
export { Repositories } from "./repositories/repositories.ts";
export { openConfiguredS3, type ServedRegistry, type ServeOptions, serveRegistry } from "./serve.ts";
export { type FilesystemStorage, openFilesystemStorage } from "./storage/filesystem.ts";
export { openS3Storage, type S3StorageOptions } from "./storage/s3/storage.ts";
export type { BlobReader, BlobStat, BlobStore, Documents, RegistryStorage } from "./storage/types.ts";
export { type CheckOptions, type CheckProblem, type CheckReport, checkStorage } from "./upkeep/check.ts";
export { type CollectOptions, type CollectReport, collectGarbage } from "./upkeep/collect.ts";
