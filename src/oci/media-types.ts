/** Media types of image-spec 1.1 (media-types.md) and of Docker's image manifest v2, schema 2. */

export const mediaTypes = {
  descriptor: "application/vnd.oci.descriptor.v1+json",
  layoutHeader: "application/vnd.oci.layout.header.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  /** The two bytes `{}` (manifest.md#guidance-for-an-empty-descriptor). */
  empty: "application/vnd.oci.empty.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  layerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  layerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  layerNondistributable: "application/vnd.oci.image.layer.nondistributable.v1.tar",
  layerNondistributableGzip: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  layerNondistributableZstd: "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",

  dockerManifestList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  dockerLayerZstd: "application/vnd.docker.image.rootfs.diff.tar.zstd",
  dockerLayerForeign: "application/vnd.docker.image.rootfs.foreign.diff.tar",
  dockerLayerForeignGzip: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",

  /** Recognised to be refused with a clear message. */
  dockerManifestV1: "application/vnd.docker.distribution.manifest.v1+json",
  dockerManifestV1Signed: "application/vnd.docker.distribution.manifest.v1+prettyjws",
} as const;

export type LayerCompression = "none" | "gzip" | "zstd";

export interface LayerMediaType {
  readonly compression: LayerCompression;
  /** Nondistributable or foreign: not to be pushed, and its blob may have to come from `urls`. */
  readonly nondistributable: boolean;
}

const layers: ReadonlyMap<string, LayerMediaType> = new Map([
  [mediaTypes.layer, { compression: "none", nondistributable: false }],
  [mediaTypes.layerGzip, { compression: "gzip", nondistributable: false }],
  [mediaTypes.layerZstd, { compression: "zstd", nondistributable: false }],
  [mediaTypes.layerNondistributable, { compression: "none", nondistributable: true }],
  [mediaTypes.layerNondistributableGzip, { compression: "gzip", nondistributable: true }],
  [mediaTypes.layerNondistributableZstd, { compression: "zstd", nondistributable: true }],
  [mediaTypes.dockerLayer, { compression: "none", nondistributable: false }],
  [mediaTypes.dockerLayerGzip, { compression: "gzip", nondistributable: false }],
  [mediaTypes.dockerLayerZstd, { compression: "zstd", nondistributable: false }],
  [mediaTypes.dockerLayerForeign, { compression: "none", nondistributable: true }],
  [mediaTypes.dockerLayerForeignGzip, { compression: "gzip", nondistributable: true }],
] as const);

/** What a layer's media type says, or undefined when it is none of a filesystem layer that we know. */
export function layerMediaType(mediaType: string): LayerMediaType | undefined {
  return layers.get(mediaType);
}

export function isIndexMediaType(mediaType: string): boolean {
  return mediaType === mediaTypes.index || mediaType === mediaTypes.dockerManifestList;
}

export function isManifestMediaType(mediaType: string): boolean {
  return mediaType === mediaTypes.manifest || mediaType === mediaTypes.dockerManifest;
}

export function isConfigMediaType(mediaType: string): boolean {
  return mediaType === mediaTypes.config || mediaType === mediaTypes.dockerConfig;
}

export function isSchema1MediaType(mediaType: string): boolean {
  return mediaType === mediaTypes.dockerManifestV1 || mediaType === mediaTypes.dockerManifestV1Signed;
}
