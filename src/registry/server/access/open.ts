/** No access control: everybody may do everything that the policy lets. */
import { RegistryError } from "../errors.ts";
import type { Access } from "./types.ts";

export const openAccess: Access = {
  open: true,
  authenticate: async () => undefined,
  allows: () => true,
  shows: () => true,
  refusal: () => new RegistryError(403, "DENIED"),
};
