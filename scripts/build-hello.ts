/**
 * Builds the `hello` image around the static probe: an OCI archive with one layer that holds one file, the same bytes
 * for the same probe. Written as a module, so that node, bun and the executable all load it the same way, on use.
 *
 *   node scripts/build-hello.ts PROBE OUTPUT.ts
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { collect, compress, streamOf, type TarInput, writeTar } from "../src/base/mod.ts";

const maxBytes = 64 * 1024 * 1024;
const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  arm64: "arm64",
  arm: "arm",
  ia32: "386",
};

interface Blob {
  readonly digest: string;
  readonly bytes: Uint8Array;
}

const [probePath, output] = process.argv.slice(2);
if (probePath === undefined || output === undefined) throw new Error("usage: build-hello PROBE OUTPUT");
const archive = await buildHello(fs.readFileSync(probePath));
fs.writeFileSync(
  output,
  `/** The \`hello\` image as an OCI archive, in base64. Made by scripts/build-hello.ts. */\nexport const helloArchive =\n  "${Buffer.from(archive).toString("base64")}";\n`,
);

async function buildHello(probe: Uint8Array): Promise<Uint8Array> {
  const tar = await collect(writeTar([{ path: "hello", type: "file", mode: 0o755, body: probe }]), maxBytes);
  const layer = blob(await collect(compress(streamOf(tar), "gzip", { level: 9 }), maxBytes));
  const config = json({
    created: "1970-01-01T00:00:00Z",
    architecture: architectures[process.arch] ?? process.arch,
    os: "linux",
    config: { Entrypoint: ["/hello"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [digest(tar)] },
    history: [
      { created: "1970-01-01T00:00:00Z", created_by: "COPY probe /hello", comment: "built with vitrine" },
    ],
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      digest: config.digest,
      size: config.bytes.length,
    },
    layers: [
      {
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest: layer.digest,
        size: layer.bytes.length,
      },
    ],
  });
  const index = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [
      {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: manifest.digest,
        size: manifest.bytes.length,
        annotations: { "org.opencontainers.image.ref.name": "localhost/hello:latest" },
      },
    ],
  });
  const members: TarInput[] = [
    { path: "oci-layout", type: "file", body: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { path: "index.json", type: "file", body: index.bytes },
    ...[manifest, config, layer].map(
      (b): TarInput => ({ path: `blobs/sha256/${b.digest.slice(7)}`, type: "file", body: b.bytes }),
    ),
  ];
  return collect(writeTar(members), maxBytes);
}

function digest(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function blob(bytes: Uint8Array): Blob {
  return { digest: digest(bytes), bytes };
}

function json(value: unknown): Blob {
  return blob(Buffer.from(JSON.stringify(value)));
}
