/** The demo page's three files. Everything that comes from a peer is set as text, never as markup. */

export const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>keyless-tls demo</title>
<link rel="stylesheet" href="/demo.css">
<script src="/demo.js" defer></script>
</head>
<body>
<main>
<h1>This page came over TLS from a server without a private key</h1>
<p>The process that talks to your browser holds only certificates. When a handshake needs the private key, it pauses, and
the one operation travels to the <strong>key server</strong>, another process, over mutual TLS.</p>
<div class="way" role="img" aria-label="Browser, edge without a key, key server with the keys">
<span>browser</span><i></i><span>edge<small>no key</small></span><i></i><span>key server<small>holds the keys</small></span>
</div>
<p id="connection" class="note">Connecting…</p>
<h2>Operations</h2>
<p class="note">One line for each handshake that asked for its key. Reload: your browser resumes its session and needs none.
A private window makes a new one.</p>
<div class="scroll"><table>
<thead><tr><th>time (UTC)</th><th>signature scheme</th><th>server name</th><th class="number">ms</th><th>result</th></tr></thead>
<tbody id="operations"></tbody>
</table></div>
</main>
</body>
</html>
`;

export const STYLE = `:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d8dee6; --paper: #fbfcfd; --mark: #0a6b52; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ef; --soft: #9aa6b4; --line: #323b46; --paper: #14181d; --mark: #5fd0ae; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; text-wrap: balance; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.note { color: var(--soft); font-size: .9rem; }
.way { display: flex; align-items: center; gap: .5rem; margin: 1.5rem 0; }
.way span { flex: 0 1 auto; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; text-align: center; }
.way small { display: block; color: var(--mark); white-space: nowrap; }
.way i { flex: 1 1 1rem; border-top: 2px dotted var(--mark); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
th.number, td.number { text-align: right; padding-right: 1.5rem; }
tr.new td { color: var(--mark); }
@media (max-width: 36rem) {
  .way { gap: .25rem; font-size: .85rem; }
  .way span { padding: .4rem .5rem; }
  thead { display: none; }
  tr { display: grid; grid-template-columns: 1fr auto auto; column-gap: 1rem; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td, td.number { border: 0; padding: 0; }
  td:nth-child(2) { order: -3; font-weight: 500; }
  td:nth-child(4) { order: -2; }
  td:nth-child(4)::after { content: ' ms'; }
  td:nth-child(5) { order: -1; }
  td:nth-child(1), td:nth-child(3) { color: var(--soft); overflow: hidden; text-overflow: ellipsis; }
  td:nth-child(3) { grid-column: 2 / 4; text-align: right; }
}
`;

export const SCRIPT = `'use strict';
const rows = document.getElementById('operations');
const connection = document.getElementById('connection');
const source = new EventSource('/operations');
const ROWS = 50;
let live = false; // what was before this page was loaded is told first, and is not new

function cell(text, number) {
  const element = document.createElement('td');
  element.textContent = text;
  if (number) element.className = 'number';
  return element;
}

source.addEventListener('open', () => {
  live = false;
  rows.replaceChildren();
});
source.addEventListener('live', () => { live = true; });
source.addEventListener('connection', ({ data }) => {
  const { protocol, cipher, resumed } = JSON.parse(data);
  connection.textContent = 'Your connection: ' + protocol + ', ' + cipher + (resumed ? ', resumed.' : ', a full handshake.');
});
source.addEventListener('operation', ({ data }) => {
  const { time, scheme, servername, ms, result } = JSON.parse(data);
  const row = document.createElement('tr');
  if (live) row.className = 'new';
  row.append(cell(time), cell(scheme), cell(servername || '\\u2013'), cell(ms, true), cell(result));
  rows.prepend(row);
  setTimeout(() => row.classList.remove('new'), 2000);
  while (rows.children.length > ROWS) rows.lastChild.remove();
});
source.addEventListener('error', () => { connection.textContent = 'The demo has ended, or is not to be reached.'; });
`;
