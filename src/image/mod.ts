/** The door of `image/`: names, platforms, images and where they come from. */
export { addToLayout, readLayoutIndex } from "./add-to-layout.ts";
export { applyChange } from "./changes.ts";
export {
  blobMissing,
  blobPath,
  checkDocumentSize,
  directoryContent,
  expectedContent,
  joinedContent,
  memoryContent,
  type RawContent,
  sourceOf,
} from "./content.ts";
export { type Conversion, type Converted, convertImage, converts } from "./convert.ts";
export { openDirectory, writeDirectory } from "./directory.ts";
export { type ImportOptions, importRootfs } from "./import.ts";
export { encodeLayoutIndex, layoutEntries, layoutHeaderBytes, withName, withoutName } from "./layout.ts";
export { type OpenOptions, openArchive } from "./open.ts";
export * from "./platform.ts";
export * from "./reference.ts";
export { encodeArchive, renamed, type SaveOptions, writeArchiveFile, writeLayoutDirectory } from "./save.ts";
export { choosePlatform, limitedToPlatform, onlyPlatform, withRoot } from "./select.ts";
export * from "./source.ts";
export * from "./transport.ts";
export { type VariantCompression, withCompressions } from "./variants.ts";
export { readConfig, type Walk, type WalkedIndex, type WalkedManifest, walkImage } from "./walk.ts";
