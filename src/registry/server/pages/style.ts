/** The page's one style sheet. Its hash is in the page's policy, so it stands in the page as it is here. */
export const style = `:root{color-scheme:light dark;--ground:#f7f7f5;--card:#fff;--text:#1c2126;--soft:#575f69;--line:#dcdfe3;--link:#0a58a8;--mark:#eef2f7}
@media(prefers-color-scheme:dark){:root{--ground:#131619;--card:#1a1e23;--text:#e6e8eb;--soft:#a2abb5;--line:#30363d;--link:#7cb7f4;--mark:#232a32}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--text);background:var(--ground)}
main{max-width:64rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
a:focus-visible,button:focus-visible,input:focus-visible,summary:focus-visible,pre:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:.2rem}
h1{font-size:1.7rem;line-height:1.25;margin:.4rem 0 1rem;overflow-wrap:anywhere}h1 span{color:var(--soft)}h2{font-size:1.1rem;margin:2rem 0 .6rem}
nav ol{display:flex;flex-wrap:wrap;gap:.25rem .5rem;list-style:none;margin:0;padding:0}nav li{overflow-wrap:anywhere}nav li:not(:last-child)::after{content:"/";color:var(--soft);margin-left:.5rem}
.card,pre,details{border:1px solid var(--line);border-radius:.5rem;background:var(--card);overflow:hidden}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:baseline;padding:.45rem .9rem;overflow-wrap:anywhere}
th{font-size:.85rem;font-weight:600;color:var(--soft);background:var(--mark)}tbody tr+tr td,tfoot td{border-top:1px solid var(--line)}tbody tr:hover td{background:var(--mark)}tfoot td{color:var(--soft)}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.k{white-space:nowrap}.soft{color:var(--soft)}time{white-space:nowrap}
code,pre{font-family:ui-monospace,monospace;font-size:.92em}pre{margin:0;padding:.7rem .9rem;overflow-x:auto;line-height:1.7}pre code{font-size:inherit;user-select:all}
dl{margin:0}dl div{display:grid;grid-template-columns:minmax(7rem,22%) minmax(0,1fr);gap:0 1rem;padding:.4rem .9rem}dl.wide div{grid-template-columns:minmax(7rem,38%) minmax(0,1fr)}dl div+div{border-top:1px solid var(--line)}dt{color:var(--soft)}dt,dd{margin:0;overflow-wrap:anywhere}.line{display:block}
details{margin-top:.75rem;padding:.5rem .9rem}summary{cursor:pointer}details li{margin:.3rem 0;overflow-wrap:anywhere}
form{display:flex;gap:.5rem;margin:0 0 .5rem}input{flex:1;min-width:0;max-width:24rem}input,button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.3rem .7rem}input{border-color:var(--soft)}input::placeholder{color:var(--soft);opacity:1}
@media(max-width:40rem){th,td{padding:.4rem .5rem}dl div,dl.wide div{display:block}main{padding:1rem .75rem 3rem}}`;
