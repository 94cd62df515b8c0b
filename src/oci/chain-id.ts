/** ChainIDs (config.md#layer-chainid): what a stack of layers amounts to, from the lowest up. */
import { encodeText } from "../base/mod.ts";
import { type Digest, digestOf } from "./digest.ts";

/** One chainID for each diffID: the stack that ends with that layer. Hashes are sha256 whatever the diffIDs are. */
export function chainIDs(diffIDs: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = [];
  for (const diffID of diffIDs) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffID : digestOf(encodeText(`${below} ${diffID}`)));
  }
  return chain;
}

/** The chainID of the whole stack, undefined for no layers. */
export function chainID(diffIDs: readonly Digest[]): Digest | undefined {
  return chainIDs(diffIDs).at(-1);
}
