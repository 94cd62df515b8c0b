/** `Link` headers (RFC 8288, formerly RFC 5988), of which the spec uses rel="next". */

/** `</v2/_catalog?last=b&n=2>; rel="next"` */
export function formatNextLink(target: string): string {
  return `<${target}>; rel="next"`;
}

const longestHeader = 16 * 1024;

/** The target of the first link of relation `next`, as it stands between the angle brackets; undefined without one. */
export function parseNextLink(header: string): string | undefined {
  if (header.length > longestHeader) return undefined;
  // Parameters end where the next link begins; a quoted value may hold a comma.
  for (const match of header.matchAll(/<([^<>]*)>((?:\s*;\s*[a-zA-Z*-]+\s*=\s*(?:"[^"]*"|[^\s;,"]+))*)/g)) {
    const relation = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(match[2]!);
    const names = (relation?.[1] ?? relation?.[2] ?? "").toLowerCase().split(/\s+/);
    if (names.includes("next")) return match[1];
  }
  return undefined;
}
