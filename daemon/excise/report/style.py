"""The style sheet: system fonts, light and dark, print."""

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#15202b;--dim:#5c6b7a;--line:#dfe4ea;
--served:#9fb3c8;--throttled:#e5a000;--stopped:#d1343d;--honest:#1f9d61;--account:#5b6ee1;
--network:#2f9bb3;--accent:#3b4cca}
@media (prefers-color-scheme:dark){:root{--bg:#0f1419;--card:#182029;--ink:#e4eaf0;--dim:#93a3b3;
--line:#2a3542;--served:#4d6176;--throttled:#f0b429;--stopped:#ef5d64;--honest:#3fbf80;
--account:#8795f5;--network:#4fb9d1;--accent:#9aa7ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
header{display:flex;justify-content:space-between;align-items:flex-end;gap:20px;flex-wrap:wrap;
margin-bottom:18px}
h1{font-size:26px;margin:0;letter-spacing:-.02em}h1 span{color:var(--accent)}
h2{font-size:17px;margin:0 0 4px}h3{font-size:15px;margin:0 0 6px;font-weight:650}
header p,.lead,.small,.none{color:var(--dim);margin:0}.lead{margin-bottom:12px;font-size:14px}
.small{font-size:12.5px}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;
margin-top:16px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px}
.tile{background:var(--card);border:1px solid var(--line);border-top:3px solid var(--served);
border-radius:12px;padding:12px 14px}
.tile b{display:block;font-size:25px;line-height:1.25;letter-spacing:-.02em}
.tile span{color:var(--dim);font-size:12.5px;display:block}
.tile.stopped{border-top-color:var(--stopped)}.tile.throttled{border-top-color:var(--throttled)}
.tile.honest{border-top-color:var(--honest)}.tile.account{border-top-color:var(--account)}
.tile.network{border-top-color:var(--network)}
svg{display:block;width:100%;height:auto}
svg text{font-size:12px;fill:var(--dim)}.middle{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--line)}.tick{stroke:var(--dim)}
.rung{stroke:var(--ink);stroke-dasharray:3 4;opacity:.55}
rect.served{fill:var(--served)}rect.throttled{fill:var(--throttled)}rect.stopped{fill:var(--stopped)}
rect.network{fill:var(--network)}rect.account{fill:var(--account)}
.reach{fill:transparent}.bar:hover .reach{fill:var(--ink);opacity:.07}
.legend{display:flex;gap:16px;flex-wrap:wrap;font-size:12.5px;color:var(--dim);margin:8px 0 0;
padding:0;list-style:none}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
i.served{background:var(--served)}i.throttled{background:var(--throttled)}
i.stopped{background:var(--stopped)}i.honest{background:var(--honest)}
i.network{background:var(--network)}i.account{background:var(--account)}
.campaign{display:grid;grid-template-columns:minmax(280px,420px) 1fr;gap:22px;
border-top:1px solid var(--line);padding-top:16px;margin-top:16px}
@media (max-width:820px){.campaign{grid-template-columns:1fr}}
.campaign p{margin:0 0 6px}.graph{max-width:440px;margin:0 auto}
.edge{fill:none;stroke:var(--dim)}.edge.few{opacity:.35}.edge.many{opacity:.13}
.spoke{fill:none;stroke:var(--account);opacity:.22}
.prompt{fill:var(--accent)}
circle{stroke:var(--card);stroke-width:1}
circle.none,circle.observe{fill:var(--served)}circle.throttle{fill:var(--throttled)}
circle.deny,circle.drop{fill:var(--stopped)}circle.shared{fill:var(--honest)}
.tag{display:inline-block;border-radius:20px;padding:1px 9px;font-size:12px;font-weight:600;
color:#fff;background:var(--dim);vertical-align:1px}
.tag.drop,.tag.deny,.tag.enforced{background:var(--stopped)}
.tag.throttle{background:var(--throttled);color:#221a00}.tag.sees{background:var(--honest)}
.tag.blind{background:var(--throttled);color:#221a00}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{color:var(--dim);font-weight:600;text-align:left;font-size:12px}
th,td{padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,td.id{font-family:ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;
font-size:12.5px;overflow-wrap:break-word}
.bar-of{width:110px;height:6px}
td.m{width:120px;vertical-align:middle}
summary{cursor:pointer;color:var(--accent);font-size:13px;margin-top:8px}
.alarm{border-left:4px solid var(--throttled)}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
"""
