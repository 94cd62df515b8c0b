/** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as curl and Go read them. */
import { quoted, VitrineError } from "../../base/mod.ts";
import type { Environment } from "./types.ts";

/**
 * The proxy for a URL; undefined: connect directly. Lower-case names win; localhost and loopback addresses are never
 * proxied. Error: `proxy-invalid`.
 */
export function proxyFor(url: URL, environment: Environment): URL | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isLoopback(host)) return undefined;
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  if (excluded(host, port, setting(environment, "no_proxy") ?? "")) return undefined;
  const scheme = url.protocol === "https:" ? "https_proxy" : "http_proxy";
  const text = setting(environment, scheme) ?? setting(environment, "all_proxy");
  return text === undefined ? undefined : parseProxy(text);
}

/** The machine itself: `localhost`, `127.0.0.0/8`, `::1`. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, "").toLowerCase();
  if (name === "localhost" || name.endsWith(".localhost") || name === "::1") return true;
  return /^127(?:\.\d{1,3}){3}$/.test(name);
}

function setting(environment: Environment, name: string): string | undefined {
  // HTTP_PROXY in capitals is what a CGI program gets from a `Proxy:` header; no command line tool runs as one.
  const value = environment[name] ?? environment[name.toUpperCase()];
  return value === undefined || value === "" ? undefined : value;
}

function parseProxy(text: string): URL {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (url === undefined || url.hostname === "" || !["http:", "https:"].includes(url.protocol)) {
    const shown = quoted(text.replace(/\/\/[^@/]*@/, "//***@"));
    throw new VitrineError("invalid", `proxy ${shown} cannot be used`, {
      code: "proxy-invalid",
      hint: "HTTP_PROXY and HTTPS_PROXY take http://[USER:PASSWORD@]HOST:PORT or https://…",
    });
  }
  return url;
}

/** Whether an entry of NO_PROXY covers the host: `*`, `.domain`, `domain` (with what is below), address, CIDR; each with a port. */
function excluded(host: string, port: number, list: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  return list
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "")
    .some((entry) => covers(entry, name, port));
}

function covers(entry: string, name: string, port: number): boolean {
  if (entry === "*") return true;
  const { host, itsPort } = splitPort(entry);
  if (itsPort !== undefined && itsPort !== port) return false;
  // Loaded on use: most machines have no proxy.
  const net = process.getBuiltinModule("node:net");
  const family = net.isIP(name);
  if (family !== 0) {
    const [address = "", bits] = host.split("/");
    if (net.isIP(address) !== family) return false;
    const list = new net.BlockList();
    const kind = family === 4 ? "ipv4" : "ipv6";
    const prefix = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits);
    if (!(prefix >= 0 && prefix <= (family === 4 ? 32 : 128))) return false;
    list.addSubnet(address, prefix, kind);
    return list.check(name, kind);
  }
  const domain = host.replace(/^\*?\./, "");
  if (domain === "") return false;
  // `.domain` does not cover the domain itself, `domain` does.
  return name.endsWith(`.${domain}`) || (name === domain && !/^\*?\./.test(host));
}

function splitPort(entry: string): { readonly host: string; readonly itsPort: number | undefined } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(entry);
  if (bracketed !== null) {
    return { host: bracketed[1]!, itsPort: bracketed[2] === undefined ? undefined : Number(bracketed[2]) };
  }
  const plain = /^([^:]+):(\d+)$/.exec(entry);
  return plain === null
    ? { host: entry, itsPort: undefined }
    : { host: plain[1]!, itsPort: Number(plain[2]) };
}
