/** The page's one style sheet. Its hash is in the page's policy, so it stands in the page as it is here. */
export const style = `:root{color-scheme:light dark;--line:#8885}
body{margin:0;font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.6rem;overflow-wrap:anywhere}h1 span{opacity:.7}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.n{text-align:right;padding-right:0;font-variant-numeric:tabular-nums;white-space:nowrap}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{padding:.75rem;border:1px solid var(--line);border-radius:.4rem;overflow-x:auto}
dl{display:grid;grid-template-columns:fit-content(40%) minmax(0,1fr);gap:.25rem 1.25rem}dt{opacity:.7}dt,dd{margin:0;overflow-wrap:anywhere}`;
