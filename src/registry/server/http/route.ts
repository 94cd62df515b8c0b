/** From method and path to a handler: the table of endpoints (spec.md#endpoints). */
import { type ApiPath, parseApiPath } from "../../protocol/paths.ts";
import type { Action } from "../access/types.ts";
import { RegistryError } from "../errors.ts";
import { deleteBlob, getBlob } from "../handlers/blobs.ts";
import { listReferrers, listRepositories, listTags } from "../handlers/lists.ts";
import { deleteManifest, getManifest, putManifest } from "../handlers/manifests.ts";
import { appendUpload, beginUpload, cancelUpload, finishUpload, uploadStatus } from "../handlers/uploads.ts";
import type { Service } from "../service.ts";
import type { Exchange } from "./exchange.ts";

/** A handler that returns nothing has answered already. */
type Handled = Promise<void> | undefined;

interface Endpoint<Path> {
  /** Undefined: whoever is let in at all. */
  readonly action: Action | undefined;
  readonly handle: (service: Service, exchange: Exchange, path: Path) => Handled;
}

type Methods<Path> = Readonly<Record<string, Endpoint<Path>>>;
type Of<Kind extends ApiPath["kind"]> = Extract<ApiPath, { kind: Kind }>;

const readManifest: Endpoint<Of<"manifest">> = {
  action: "pull",
  handle: (service, exchange, { name, reference }) => getManifest(service, exchange, name, reference),
};
const readBlob: Endpoint<Of<"blob">> = {
  action: "pull",
  handle: (service, exchange, { name, digest }) => getBlob(service, exchange, name, digest),
};

const endpoints: { readonly [Kind in ApiPath["kind"]]: Methods<Of<Kind>> } = {
  base: both({ action: undefined, handle: (_, exchange) => void exchange.json(200, {}, {}) }),
  catalog: both({ action: "list", handle: listRepositories }),
  manifest: {
    ...both(readManifest),
    PUT: {
      action: "push",
      handle: (service, exchange, path) => putManifest(service, exchange, path.name, path.reference),
    },
    DELETE: {
      action: "delete",
      handle: (service, exchange, path) => deleteManifest(service, exchange, path.name, path.reference),
    },
  },
  blob: {
    ...both(readBlob),
    DELETE: {
      action: "delete",
      handle: (service, exchange, path) => deleteBlob(service, exchange, path.name, path.digest),
    },
  },
  uploads: {
    POST: { action: "push", handle: (service, exchange, path) => beginUpload(service, exchange, path.name) },
  },
  upload: {
    ...both<Of<"upload">>({
      action: "push",
      handle: (service, exchange, path) => uploadStatus(service, exchange, path.name, path.id),
    }),
    PATCH: {
      action: "push",
      handle: (service, exchange, path) => appendUpload(service, exchange, path.name, path.id),
    },
    PUT: {
      action: "push",
      handle: (service, exchange, path) => finishUpload(service, exchange, path.name, path.id),
    },
    DELETE: {
      action: "push",
      handle: (service, exchange, path) => cancelUpload(service, exchange, path.name, path.id),
    },
  },
  tags: both({ action: "pull", handle: (service, exchange, path) => listTags(service, exchange, path.name) }),
  referrers: both({
    action: "pull",
    handle: (service, exchange, path) => listReferrers(service, exchange, path.name, path.digest),
  }),
};

function both<Path>(endpoint: Endpoint<Path>): Methods<Path> {
  return { GET: endpoint, HEAD: endpoint };
}

/** Answers a request below /v2. Errors: RegistryError. */
export function routeApi(service: Service, exchange: Exchange): Handled {
  const path = parseApiPath(exchange.path);
  if (path === undefined) {
    throw new RegistryError(404, "UNSUPPORTED", { message: "no such endpoint" });
  }
  if (path === "name-invalid") throw new RegistryError(400, "NAME_INVALID");
  exchange.operation = path.kind;
  if ("name" in path) exchange.repository = path.name;
  // The table is keyed by the kind, so that the endpoint takes this path.
  const methods = endpoints[path.kind] as Methods<ApiPath>;
  if (!Object.hasOwn(methods, exchange.method)) {
    throw new RegistryError(405, "UNSUPPORTED", { headers: { Allow: Object.keys(methods).join(", ") } });
  }
  const endpoint = methods[exchange.method]!;
  const { access } = service;
  if (access.open) return endpoint.handle(service, exchange, path);
  return guarded(service, exchange, path, endpoint);
}

async function guarded(
  service: Service,
  exchange: Exchange,
  path: ApiPath,
  endpoint: Endpoint<ApiPath>,
): Promise<void> {
  const { access } = service;
  const repository = "name" in path ? path.name : undefined;
  await access.authenticate(exchange);
  if (endpoint.action !== undefined && !access.allows(exchange, repository, endpoint.action)) {
    throw access.refusal(exchange, repository, endpoint.action);
  }
  await endpoint.handle(service, exchange, path);
}
