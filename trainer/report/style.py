"""How the pages look: light or dark as the reader prefers, on a screen or on paper."""

STYLE = """\
:root{--ink:#111827;--soft:#6b7280;--line:#e5e7eb;--card:#f9fafb;--page:#fff;--blue:37,99,235;
color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e5e7eb;--soft:#9ca3af;--line:#374151;
--card:#1f2937;--page:#111827;--blue:96,165,250}}
*{box-sizing:border-box}
body{font:14px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1.25rem;
color:var(--ink);background:var(--page);overflow-wrap:anywhere}
h1{font-size:1.6rem;margin:0 0 .25rem}
h2{font-size:1.05rem;margin:2rem 0 .6rem}
p{margin:.3rem 0}.soft,figcaption,th{color:var(--soft)}
table{border-collapse:collapse}
td,th{padding:.2rem 1rem .2rem 0;text-align:left;vertical-align:top;font-weight:400;
border-bottom:1px solid var(--line)}
code,pre,.digest{font:12px/1.5 ui-monospace,monospace;white-space:pre-wrap;word-break:break-word}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6rem .8rem}
.tiles,.charts,.sides,.worst{display:grid;gap:1rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(140px,1fr));margin:1.25rem 0}
.tiles div,.charts figure{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:.7rem .9rem}
.tiles b{display:block;font-size:1.45rem;font-weight:600;font-variant-numeric:tabular-nums}
.charts{grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}
.sides{grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:0 3rem;
align-items:start}.sides>div{overflow-x:auto}
figure{margin:0}svg{width:100%;display:block}
svg text{font-size:10.5px;fill:var(--soft)}.grid{stroke:var(--line)}
.legend{color:var(--soft);max-height:9.5rem;overflow-y:auto}
.legend span{margin-right:1rem;white-space:nowrap}
.legend b{color:var(--ink);font-weight:500;font-variant-numeric:tabular-nums}
.legend i{display:inline-block;width:.7rem;height:.7rem;border-radius:2px;margin-right:.35rem;
vertical-align:-1px}
.confusion td,.confusion th{text-align:center;min-width:2.1rem;padding:.25rem;border:0}
.confusion td{border:1px solid var(--line)}
.worst{grid-template-columns:repeat(auto-fill,minmax(96px,1fr));gap:.8rem}
.worst figure{font-size:12px;line-height:1.35}img{image-rendering:pixelated;max-width:100%}
.worst img{width:96px;border:1px solid var(--line);border-radius:4px}
.columns{columns:420px 2;column-gap:3rem}.columns table{width:100%}
.wide{overflow-x:auto}
input{font:inherit;width:100%;max-width:420px;margin:1rem 0;padding:.4rem .6rem;color:inherit;
background:var(--card);border:1px solid var(--line);border-radius:6px}
.bar{display:flex;height:1.4rem;border-radius:6px;overflow:hidden;margin:.4rem 0}
"""
