/** The id maps of a new user namespace for which the bundle names none (config-linux.md#user-namespace-mappings). */
import type { LinuxIdMapping, RuntimeConfig } from "../../oci/mod.ts";

/**
 * Both maps are OPTIONAL, and without one no id would be there to begin as. Root of the container is then the caller,
 * alone, as under crun; it has no id that the caller has not.
 */
export function withIdMaps(
  config: RuntimeConfig,
  caller: { readonly euid: number; readonly egid: number },
): { readonly config: RuntimeConfig; readonly warnings: readonly string[] } {
  const { linux } = config;
  const user = linux?.namespaces?.find(({ type }) => type === "user");
  if (user === undefined || user.path !== undefined) return { config, warnings: [] };
  const own = (hostID: number): readonly LinuxIdMapping[] => [{ containerID: 0, hostID, size: 1 }];
  const given = (map: readonly LinuxIdMapping[] | undefined) => map !== undefined && map.length > 0;
  const maps: { uidMappings?: readonly LinuxIdMapping[]; gidMappings?: readonly LinuxIdMapping[] } = {};
  if (!given(linux?.uidMappings)) maps.uidMappings = own(caller.euid);
  if (!given(linux?.gidMappings)) maps.gidMappings = own(caller.egid);
  return {
    config: { ...config, linux: { ...linux, ...maps } },
    warnings: Object.keys(maps).map(
      (field) => `config.json/linux/${field}: there is none: 0 is the caller, and no other id is there`,
    ),
  };
}
