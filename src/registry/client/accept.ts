import { mediaTypes } from "../../oci/mod.ts";

/** What is asked for with every manifest; schema 1 is not: it would be refused. */
export const acceptedManifests = [
  mediaTypes.manifest,
  mediaTypes.index,
  mediaTypes.dockerManifest,
  mediaTypes.dockerManifestList,
  "*/*;q=0.1",
].join(", ");
