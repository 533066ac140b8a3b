/* report_style.c: how a report looks: the page's own colours
 * (web/src/base.css), two for right and wrong, and six for curves. A rule a
 * string. */
#include "train/report_private.h"

const char *const sosie_report_style[] = {
    ":root{--paper:#faf9f7;--card:#fff;--ink:#1c1917;--quiet:#625c56;"
    "--line:#e5e1dc;--wash:#f0ede9;--accent:#b93a0a;--good:#18794e;"
    "--bad:#b42318;--s0:#b93a0a;--s1:#0f6b8f;--s2:#c27c00;--s3:#5b4bb2;"
    "--s4:#18794e;--s5:#8a8178;"
    "--shadow:0 1px 2px rgb(28 25 23/5%),0 12px 32px rgb(28 25 23/7%);"
    "font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;"
    "color:var(--ink);background:var(--paper)}",
    "@media(prefers-color-scheme:dark){:root{--paper:#151311;"
    "--card:#1f1c19;--ink:#f5f2ee;--quiet:#aea59c;--line:#352f2a;"
    "--wash:#2a2622;--accent:#fb8a4c;--good:#57c28f;--bad:#f4877d;"
    "--s0:#fb8a4c;--s1:#5bb8dd;--s2:#f5c451;--s3:#a99cf0;--s4:#57c28f;"
    "--s5:#9c938a;--shadow:0 1px 2px rgb(0 0 0/40%),0 12px 32px rgb(0 0 "
    "0/30%)}}",
    "*{box-sizing:border-box}",
    "body{margin:0 auto;max-width:76rem;"
    "padding:2.5rem clamp(1rem,3vw,2.5rem) 5rem}",
    "h1{font-size:clamp(1.6rem,4vw,2.1rem);line-height:1.2;font-weight:650;"
    "letter-spacing:-.03em;margin:0;overflow-wrap:anywhere}",
    "h2{font-size:1.3rem;font-weight:650;letter-spacing:-.02em;"
    "margin:3rem 0 .75rem}",
    "h3{font-size:1rem;font-weight:600;margin:1.75rem 0 .5rem}",
    "p{max-width:46rem;margin:.4rem 0 .9rem;color:var(--quiet);"
    "overflow-wrap:anywhere}",
    ".sub{margin:.35rem 0 0}",
    ".card{background:var(--card);border-radius:14px;"
    "box-shadow:var(--shadow);padding:.9rem 1.1rem;margin:1rem 0;"
    "overflow-x:auto}",
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,"
    "minmax(10.5rem,1fr));gap:1rem;margin:1.5rem 0}",
    ".facts .card{margin:0;overflow-wrap:anywhere}",
    ".facts b{display:block;font-size:1.7rem;font-weight:650;"
    "letter-spacing:-.03em;line-height:1.25;"
    "font-variant-numeric:tabular-nums}",
    ".facts span{display:block;font-size:.85rem}",
    ".facts small{color:var(--quiet);font-size:.8rem}",
    "table{border-collapse:collapse;width:100%;font-size:.9rem;"
    "font-variant-numeric:tabular-nums}",
    "caption{caption-side:top;text-align:left;font-weight:600;"
    "padding:0 0 .5rem}",
    "th{font-weight:500;color:var(--quiet);font-size:.8rem;"
    "text-align:right;padding:.3rem .6rem;white-space:nowrap;"
    "border-bottom:1px solid var(--line);vertical-align:bottom}",
    "td{text-align:right;padding:.38rem .6rem;white-space:nowrap;"
    "border-bottom:1px solid var(--line)}",
    "tr:last-child td{border-bottom:0}",
    "th:first-child,td:first-child{text-align:left;padding-left:0}",
    ".bar{background:linear-gradient(color-mix(in srgb,var(--accent) 16%,"
    "transparent) 0 0) 0 50%/var(--v) 1.5rem no-repeat}",
    ".best{font-weight:650}",
    ".good{color:var(--good);font-weight:600}",
    ".bad{color:var(--bad);font-weight:600}",
    "svg{display:block;width:100%;height:auto;max-width:56rem;"
    "font-size:12px;fill:var(--quiet)}",
    "svg .grid{stroke:var(--line)}",
    "svg polyline{fill:none;stroke-width:2;stroke-linejoin:round;"
    "stroke-linecap:round}",
    ".legend{display:flex;flex-wrap:wrap;gap:.25rem 1.2rem;"
    "font-size:.85rem;margin:.4rem 0 0}",
    ".legend i{display:inline-block;width:.8rem;height:.2rem;"
    "border-radius:1px;margin-right:.45rem;vertical-align:middle}",
    ".legend b{font-weight:600;font-variant-numeric:tabular-nums}",
    ".matrix{width:auto;font-size:.72rem}",
    ".matrix th,.matrix td{padding:0;border:0}",
    ".matrix thead th{height:7.5rem;vertical-align:bottom}",
    ".matrix thead th span{writing-mode:vertical-rl;"
    "transform:rotate(180deg);max-height:7.2rem;overflow:hidden;"
    "text-overflow:ellipsis;padding:.2rem 0}",
    ".matrix tbody th{vertical-align:middle;max-width:10rem;overflow:hidden;"
    "text-overflow:ellipsis;padding-right:.5rem;text-align:right}",
    ".matrix td{width:1.7rem;min-width:1.7rem;height:1.7rem;"
    "text-align:center;border:1px solid var(--card);border-radius:4px;"
    "background:color-mix(in srgb,var(--bad) var(--v,0%),var(--wash))}",
    ".matrix td.on{background:color-mix(in srgb,var(--good) var(--v,0%),"
    "var(--wash))}",
    ".row{display:flex;gap:.5rem;padding:.55rem 0;overflow-x:auto;"
    "border-bottom:1px solid var(--line)}",
    ".row:last-child{border-bottom:0}",
    "figure{margin:0;flex:none;width:6rem;font-size:.7rem;line-height:1.3;"
    "color:var(--quiet)}",
    "figure img{display:block;width:6rem;height:7rem;object-fit:contain;"
    "background:#fff;border-radius:8px;border:2px solid transparent}",
    "figure.good img{border-color:var(--good)}",
    "figure.bad img{border-color:var(--bad);opacity:.85}",
    "figure.good,figure.bad{font-weight:400}",
    "figure.query{margin-right:1rem;color:var(--ink)}",
    "figcaption{overflow:hidden;display:-webkit-box;-webkit-line-clamp:3;"
    "-webkit-box-orient:vertical;overflow-wrap:anywhere;margin-top:.2rem}",
    "figcaption::before{font-weight:700}",
    ".good figcaption::before{content:\"\\2713\\a0\";color:var(--good)}",
    ".bad figcaption::before{content:\"\\2717\\a0\";color:var(--bad)}",
    NULL};
