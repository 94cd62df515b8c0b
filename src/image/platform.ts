/**
 * Platforms (image-index.md): reading `linux/arm/v7` and its many spellings, and choosing from an index what a machine
 * runs best. Preference is containerd's: the same variant, then older ones, then the 32-bit architecture.
 */
import { quoted, VitrineError } from "../base/mod.ts";
import { compact, type Descriptor, type Index, isIndexMediaType, type Platform } from "../oci/mod.ts";

const knownSystems = [
  "aix",
  "android",
  "darwin",
  "dragonfly",
  "freebsd",
  "illumos",
  "ios",
  "js",
  "linux",
  "netbsd",
  "openbsd",
  "plan9",
  "solaris",
  "windows",
  "zos",
];
const knownArchitectures = [
  "386",
  "amd64",
  "arm",
  "arm64",
  "loong64",
  "mips",
  "mipsle",
  "mips64",
  "mips64le",
  "ppc64",
  "ppc64le",
  "riscv64",
  "s390x",
  "wasm",
];
const component = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * `os`, `arch`, `os/arch` or `os/arch/variant`; what is left out comes from `host`. The result is normalised.
 * Error: `platform-invalid`.
 */
export function parsePlatform(text: string, host: Platform): Platform {
  const parts = text.split("/");
  const [first = "", second, third] = parts;
  if (parts.length > 3 || !parts.every((part) => component.test(part))) {
    throw invalid(text, "a platform is OS/ARCH[/VARIANT]");
  }
  if (second !== undefined) {
    return normalizePlatform(compact({ os: first, architecture: second, variant: third }));
  }
  const os = normalizeSystem(first);
  if (knownSystems.includes(os)) {
    return normalizePlatform({ ...host, os });
  }
  const guess = normalizePlatform({ os: host.os, architecture: first });
  if (!knownArchitectures.includes(guess.architecture)) {
    throw invalid(text, `${quoted(first)} is no operating system or architecture that is known`);
  }
  return guess;
}

/** One spelling for each platform; `arm64` and `amd64` of the first variant have none. */
export function normalizePlatform(platform: Platform): Platform {
  const { architecture, variant } = normalizeArchitecture(
    platform.architecture.toLowerCase(),
    (platform.variant ?? "").toLowerCase(),
  );
  return compact({
    architecture,
    os: normalizeSystem(platform.os),
    "os.version": platform["os.version"] || undefined,
    "os.features": platform["os.features"]?.length ? platform["os.features"] : undefined,
    variant: variant || undefined,
  });
}

/** `linux/arm/v7` */
export function formatPlatform(platform: Platform): string {
  return [platform.os || "unknown", platform.architecture, platform.variant]
    .filter((part) => part !== undefined && part !== "")
    .join("/");
}

/** The platform of a machine by Node's name of its architecture. */
export function hostPlatform(arch: string = process.arch): Platform {
  const byNode: Readonly<Record<string, string>> = {
    x64: "amd64",
    ia32: "386",
    ppc64: "ppc64le",
    mipsel: "mipsle",
  };
  return normalizePlatform({ os: "linux", architecture: byNode[arch] ?? arch });
}

/** What a machine of this platform runs, best first. */
export function runnablePlatforms(platform: Platform): readonly Platform[] {
  const wanted = normalizePlatform(platform);
  return variants(wanted).map(({ architecture, variant }) =>
    normalizePlatform({ ...wanted, architecture, variant }),
  );
}

/** How well `actual` suits `wanted`: 0 is exact, more is worse, undefined does not run. */
export function platformRank(wanted: Platform, actual: Platform): number | undefined {
  const found = normalizePlatform(actual);
  const rank = runnablePlatforms(wanted).findIndex(
    (candidate) =>
      candidate.os === found.os &&
      candidate.architecture === found.architecture &&
      candidate.variant === found.variant,
  );
  const offered = wanted["os.features"] ?? [];
  const featuresHeld = (found["os.features"] ?? []).every((feature) => offered.includes(feature));
  return rank === -1 || !featuresHeld ? undefined : rank;
}

/**
 * The entries of an index that may serve `wanted`, best first; of equals the one listed first (image-index.md). Entries
 * that name no platform come last: only their config tells. Attestations, which name `unknown/unknown`, never match.
 */
export function rankManifests(index: Index, wanted: Platform): readonly Descriptor[] {
  const matching = index.manifests
    .map((entry) => ({ entry, rank: entry.platform && platformRank(wanted, entry.platform) }))
    .filter(({ rank }) => rank !== undefined)
    .sort((left, right) => left.rank! - right.rank!)
    .map(({ entry }) => entry);
  const undetermined = index.manifests.filter(
    (entry) => entry.platform === undefined && entry.artifactType === undefined,
  );
  return [...matching, ...undetermined];
}

/** The first of `rankManifests`. Error: `platform-not-found` (not-found), which lists what there is. */
export function selectManifest(index: Index, wanted: Platform): Descriptor {
  const [best] = rankManifests(index, wanted);
  if (best === undefined) {
    throw platformNotFound(
      wanted,
      index.manifests.flatMap((entry) =>
        entry.platform === undefined || isIndexMediaType(entry.mediaType) ? [] : [entry.platform],
      ),
    );
  }
  return best;
}

/** The error of an image that has no part for `wanted`. */
export function platformNotFound(wanted: Platform, available: readonly Platform[]): VitrineError {
  const names = [...new Set(available.filter(({ os }) => os !== "unknown").map(formatPlatform))];
  const shown = names.slice(0, 12).map((name) => quoted(name, 60).slice(1, -1));
  return new VitrineError("not-found", `image has nothing for platform ${formatPlatform(wanted)}`, {
    code: "platform-not-found",
    operand: formatPlatform(wanted),
    hint: shown.length === 0 ? undefined : `it has ${shown.join(", ")}${names.length > 12 ? ", …" : ""}`,
  });
}

interface Architecture {
  readonly architecture: string;
  readonly variant: string | undefined;
}

function variants({ architecture, variant }: Platform): readonly Architecture[] {
  switch (architecture) {
    case "amd64":
      return [
        { architecture, variant },
        ...downFrom(numberOf(variant) - 1, 1).map((level) => ({ architecture, variant: `v${level}` })),
        { architecture: "386", variant: undefined },
      ];
    case "arm":
      return armVariants(variant);
    case "arm64":
      return [...arm64Variants(variant), ...armVariants("v8")];
    default:
      return [{ architecture, variant }];
  }
}

function armVariants(variant: string | undefined): readonly Architecture[] {
  const older = downFrom(numberOf(variant) - 1, 5).map((level) => `v${level}`);
  return [variant, ...older].map((name) => ({ architecture: "arm", variant: name }));
}

/** Armv9.N has what Armv8.(N+5) has; v8.9 is the last of v8. */
function arm64Variants(variant: string | undefined): readonly Architecture[] {
  const match = /^v([89])(?:\.([0-9]))?$/.exec(variant ?? "v8");
  if (match === null) return [{ architecture: "arm64", variant }];
  const minor = Number(match[2] ?? 0);
  const names = downFrom(minor, 0).map((level) => (level === 0 ? `v${match[1]}` : `v${match[1]}.${level}`));
  if (match[1] === "9") {
    names.push(...downFrom(Math.min(minor + 5, 9), 0).map((level) => (level === 0 ? "v8" : `v8.${level}`)));
  }
  return names.map((name) => ({ architecture: "arm64", variant: name }));
}

function downFrom(top: number, bottom: number): number[] {
  return top < bottom ? [] : Array.from({ length: top - bottom + 1 }, (_, step) => top - step);
}

/** 7 of `v7`; 0 of anything else, so that nothing lies below. */
function numberOf(variant: string | undefined): number {
  return Number(/^v([0-9]{1,2})$/.exec(variant ?? "")?.[1] ?? 0);
}

function normalizeSystem(os: string): string {
  const lower = os.toLowerCase();
  return lower === "macos" ? "darwin" : lower;
}

function normalizeArchitecture(architecture: string, variant: string): Architecture {
  switch (architecture) {
    case "i386":
    case "i686":
      return { architecture: "386", variant: undefined };
    case "x86_64":
    case "x86-64":
    case "amd64":
      return { architecture: "amd64", variant: variant === "v1" ? undefined : variant };
    case "aarch64":
    case "arm64":
      return { architecture: "arm64", variant: arm64Variant(variant) };
    case "armhf":
      return { architecture: "arm", variant: "v7" };
    case "armel":
      return { architecture: "arm", variant: "v6" };
    case "armv6l":
    case "armv7l":
      return { architecture: "arm", variant: architecture.slice(3, 5) };
    case "arm":
      return { architecture: "arm", variant: variant === "" ? "v7" : variant.replace(/^([5-8])$/, "v$1") };
    default:
      return { architecture, variant };
  }
}

function arm64Variant(variant: string): string | undefined {
  if (["8", "v8", "v8.0"].includes(variant)) return undefined;
  return ["9", "9.0", "v9.0"].includes(variant) ? "v9" : variant;
}

function invalid(text: string, message: string): VitrineError {
  return new VitrineError("invalid", `invalid platform ${quoted(text)}: ${message}`, {
    code: "platform-invalid",
    operand: text,
    hint: "for example linux/amd64, linux/arm64 or linux/arm/v7",
  });
}
