/**
 * The TOML that registries.conf mostly is as it comes with a system: comments, and one table of texts (`[aliases]`). Undefined for all
 * else, also for what may be wrong: that is the parser's, which tells where.
 */
export function parsePlainToml(text: string): Readonly<Record<string, Record<string, string>>> | undefined {
  const tables: Record<string, Record<string, string>> = {};
  let table: Record<string, string> | undefined;
  for (const line of text.split("\n")) {
    if (blank.test(line)) continue;
    const [, name] = header.exec(line) ?? [];
    if (name !== undefined) {
      if (Object.hasOwn(tables, name)) return undefined;
      table = Object.create(null) as Record<string, string>;
      tables[name] = table;
      continue;
    }
    const [, quoted, bare, value] = pair.exec(line) ?? [];
    const key = quoted ?? bare;
    if (table === undefined || key === undefined || value === undefined || key in table) return undefined;
    table[key] = value;
  }
  return tables;
}

const blank = /^[ \t]*(?:#[\t -~]*)?\r?$/;
const header = /^\[([a-z]+)\][ \t]*\r?$/;
const pair =
  /^[ \t]*(?:"([ !#-[\]-~]*)"|([A-Za-z0-9_-]+))[ \t]*=[ \t]*"([ !#-[\]-~]*)"[ \t]*(?:#[\t -~]*)?\r?$/;
