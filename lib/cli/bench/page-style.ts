/** The style of the report's page: light and dark, wide and narrow, screen and paper. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1a1d21; --paper: #fff; --soft: #5c6670; --line: #d8dde3; --met: #1a7f37; --missed: #b42318;
  --c0: #8a94a3; --c1: #2563eb; --c2: #d97706; --c3: #0d9488; --c4: #a21caf; --c5: #65a30d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a; --soft: #9aa5b1; --line: #333a42; --met: #4ac26b; --missed: #ff7b72;
  --c0: #7d8896; --c1: #6ea0ff; --c2: #e5a33d; --c3: #3cc7b8; --c4: #d977e0; --c5: #9bce4a; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 46rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; } h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
svg { display: block; width: 100%; max-width: 38rem; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .strong { font-weight: 600; } svg .soft, svg .axis text { fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); } svg .line { fill: none; stroke-width: 2; }
svg .whisker { stroke: var(--ink); stroke-width: 1.2; opacity: .75; }
${[0, 1, 2, 3, 4, 5].map((index) => `.c${index} { fill: var(--c${index}); } svg .line.c${index} { stroke: var(--c${index}); }`).join('\n')}
.wide { overflow-x: auto; margin: 1rem 0; width: min(78rem, 100vw - 3rem); margin-left: calc((min(46rem, 100vw) - 2rem - min(78rem, 100vw - 3rem)) / 2); }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; margin: 0 auto 0; }
.hint { display: none; color: var(--soft); font-size: .85rem; margin: 1rem 0 -.7rem; }
th, td { text-align: left; vertical-align: bottom; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); } td { white-space: nowrap; } th { min-width: 4.5rem; }
@media (max-width: 62rem) { .hint:not(.phone) { display: block; } .wide { width: auto; margin-left: 0; border-right: 3px dotted var(--line); } table { margin: 0; } }
tbody th { white-space: nowrap; } .met { color: var(--met); } .missed { color: var(--missed); } .unsure { color: var(--soft); } .met, .missed, .unsure { white-space: nowrap; }
ul.verdicts { list-style: none; padding: 0; } ul.verdicts li { padding: .35rem 0; border-bottom: 1px solid var(--line); }
.doubt { border-left: 3px solid var(--c2); padding-left: .7rem; } a { color: inherit; } nav { color: var(--soft); font-size: .9rem; }
footer { color: var(--soft); font-size: .85rem; margin-top: 3rem; }
@media (max-width: 34rem) { .hint.phone { display: block; } tbody th { white-space: normal; } }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } nav { display: none; } .wide { overflow: visible; width: auto; margin-left: 0; border: 0; } .hint, .hint.phone, .hint:not(.phone) { display: none; } table { font-size: 7.5pt; } th { min-width: 0; }
  svg, li, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } }`;
