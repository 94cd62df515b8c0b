/** `root`, `mounts` and `hooks` of config.json (config.md). */
import { type ConfigReader, idMappings, type NamespaceSet } from "./config-reader.ts";
import { compact, type Field } from "./field.ts";
import { type Hook, type Hooks, hookNames, type Mount, type Root } from "./runtime-config.ts";

export function readRoot(field: Field): Root {
  return compact({
    path: field.at("path").filled(),
    readonly: field.at("readonly").optional((flag) => flag.boolean()),
  });
}

export function readMounts(reader: ConfigReader, field: Field, namespaces: NamespaceSet): readonly Mount[] {
  return field.array((entry) => readMount(reader, entry, namespaces));
}

/** Options that make a mount something other than a new filesystem, so that it needs no type. */
const typelessOptions = new Set([
  "bind",
  "rbind",
  "remount",
  "private",
  "rprivate",
  "shared",
  "rshared",
  "slave",
  "rslave",
  "unbindable",
  "runbindable",
]);

function readMount(reader: ConfigReader, field: Field, namespaces: NamespaceSet): Mount {
  const mount: Mount = compact({
    destination: field.at("destination").filled(),
    type: field.at("type").optional((type) => type.string()),
    source: field.at("source").optional((source) => source.string()),
    options: field.at("options").optional((options) => options.filledStrings()),
    uidMappings: field.at("uidMappings").optional(idMappings),
    gidMappings: field.at("gidMappings").optional(idMappings),
  });
  const options = mount.options ?? [];
  if (!mount.destination.startsWith("/")) {
    reader.warn(field.at("destination"), "mount-destination-relative", "is relative, which is deprecated");
  }
  const isBind = options.includes("bind") || options.includes("rbind");
  if (isBind && (mount.source ?? "") === "") {
    field.at("source").fail("is required for a bind mount");
  }
  if ((mount.type ?? "") === "" && !options.some((option) => typelessOptions.has(option))) {
    field.at("type").fail("is required: the mount is no bind mount");
  }
  checkIdMapping(reader, field, mount, namespaces);
  return mount;
}

/** config.md#linux-mount-options, rows `idmap` and `ridmap`, and #posix-platform-mounts. */
function checkIdMapping(reader: ConfigReader, field: Field, mount: Mount, namespaces: NamespaceSet): void {
  const { uidMappings = [], gidMappings = [] } = mount;
  if ((uidMappings.length === 0) !== (gidMappings.length === 0)) {
    const [absent, present] = uidMappings.length === 0 ? ["uid", "gid"] : ["gid", "uid"];
    field.at(`${absent}Mappings`).fail(`is required beside ${present}Mappings`);
  }
  const asked = mount.options?.find((option) => option === "idmap" || option === "ridmap");
  if (asked !== undefined && uidMappings.length === 0 && !namespaces.has("user")) {
    field.fail(`has the option ${asked}, but neither mappings nor a user namespace to take them from`, {
      code: "runtime-config-mapping-invalid",
    });
  }
  if (asked === undefined && uidMappings.length > 0) {
    reader.warn(field, "mount-mapping-without-option", "has mappings, but neither idmap nor ridmap");
  }
}

export function readHooks(field: Field): Hooks {
  return compact(
    Object.fromEntries(
      hookNames.map((name) => [name, field.at(name).optional((hooks) => hooks.array(readHook))]),
    ),
  );
}

function readHook(field: Field): Hook {
  return compact({
    path: field.at("path").absolutePath(),
    args: field.at("args").optional((args) => args.strings()),
    env: field.at("env").optional((env) => env.strings()),
    timeout: field.at("timeout").optional((timeout) => timeout.integer(1, 0x7fff_ffff)),
  });
}
