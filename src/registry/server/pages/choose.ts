/** Which of many names a page shows. */

/** More rows than these are another page. */
export const mostRows = 500;

export interface Choice {
  /** What the names are to contain, as it was asked for. */
  readonly asked: string;
  readonly fitting: readonly string[];
  /** Of those, what is on this page. */
  readonly shown: readonly string[];
}

/** Of sorted names those with a part of their text (`q`, in whatever case), from a place on (`after`). */
export function choose(query: URLSearchParams, names: readonly string[]): Choice {
  const asked = (query.get("q") ?? "").trim().slice(0, 255);
  const after = query.get("after") ?? "";
  const wanted = asked.toLowerCase();
  const fitting = asked === "" ? names : names.filter((name) => name.toLowerCase().includes(wanted));
  return { asked, fitting, shown: fitting.filter((name) => name > after).slice(0, mostRows) };
}
