/** What `keyless-tls bench` found: a table for terminals, and one page that needs nothing else. */
import type { Result } from './bench-handshakes.ts';
import { median } from './bench-method.ts';

export interface Machine {
  readonly node: string;
  readonly openssl: string;
  readonly cpu: string;
  readonly cores: number;
  readonly platform: string;
}

export interface Report {
  readonly time: string;
  readonly machine: Machine;
  readonly settings: Readonly<Record<string, number>>;
  readonly handshakes: readonly Result[];
}

const ms = (value: number) => value.toFixed(3);

function spread(values: readonly number[]): string {
  return `${ms(median(values))} (${ms(Math.min(...values))}–${ms(Math.max(...values))})`;
}

const COLUMNS = [
  'key',
  'protocol',
  'native, ms',
  'remote, ms',
  'ratio',
  'key server, ms',
  'edge core, /s',
] as const;

function row({ key, version, native, remote, ratio, keyServerCpuMs }: Result): string[] {
  return [
    key,
    version,
    spread(native.edgeCpuMs),
    spread(remote.edgeCpuMs),
    `${ratio.toFixed(2)} ×`,
    keyServerCpuMs === undefined ? '–' : ms(keyServerCpuMs),
    `${Math.round(1000 / median(native.edgeCpuMs))} → ${Math.round(1000 / median(remote.edgeCpuMs))}`,
  ];
}

/** In words, and no more than was measured. */
export function summary({ handshakes }: Report): string[] {
  const sentences = handshakes.map(({ key, version, ratio, native, remote, keyServerCpuMs = 0 }) => {
    const total = (median(remote.edgeCpuMs) + keyServerCpuMs) / median(native.edgeCpuMs);
    return (
      `${key}, ${version}: a full handshake costs the edge ${ratio.toFixed(2)} × the CPU of native, ` +
      `edge and key server together ${total.toFixed(2)} ×.`
    );
  });
  return [...sentences, 'The gain is per edge core; the CPU of all machines together rises.'];
}

export function table(report: Report): string {
  const rows = [[...COLUMNS], ...report.handshakes.map(row)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const lines = rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const WIDTH = 640;
const BAR = 18;
const LABEL = 150;

function bar(y: number, value: number, scale: number, label: string, className: string): string {
  const width = value * scale;
  return (
    `<text x="${LABEL - 8}" y="${y + 13}" text-anchor="end">${escapeHtml(label)}</text>` +
    `<rect class="${className}" x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}"/>` +
    `<text x="${LABEL + width + 6}" y="${y + 13}">${ms(value)}</text>`
  );
}

/** Edge CPU for one full handshake: native, remote, and the key server's part beside it. */
function plot(results: readonly Result[]): string {
  const most = Math.max(
    ...results.flatMap(({ native, remote }) => [median(native.edgeCpuMs), median(remote.edgeCpuMs)]),
  );
  const scale = (WIDTH - LABEL - 70) / most;
  const group = 4 * (BAR + 4) + 14;
  const bars = results.map(({ key, version, native, remote, keyServerCpuMs }, index) => {
    const y = index * group;
    const title = `<text class="title" x="0" y="${y + 13}">${escapeHtml(`${key}, ${version}`)}</text>`;
    return [
      title,
      bar(y + BAR + 4, median(native.edgeCpuMs), scale, 'native', 'native'),
      bar(y + 2 * (BAR + 4), median(remote.edgeCpuMs), scale, 'remote: edge', 'remote'),
      keyServerCpuMs === undefined
        ? ''
        : bar(y + 3 * (BAR + 4), keyServerCpuMs, scale, 'remote: key server', 'server'),
    ].join('');
  });
  return `<svg viewBox="0 0 ${WIDTH} ${results.length * group}" role="img" aria-label="CPU milliseconds for each handshake">${bars.join('')}</svg>`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1a1d21; --paper: #fff; --soft: #667; --native: #9aa4b2; --remote: #2f6feb; --server: #e0a030; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a; --soft: #99a; --native: #5b6673; --remote: #6ea0ff; --server: #d9a441; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; } text { fill: var(--ink); } .title { font-weight: 600; }
.native { fill: var(--native); } .remote { fill: var(--remote); } .server { fill: var(--server); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; } th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--native); white-space: nowrap; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
@media print { body { margin: 0; } }`;

export function page(report: Report): string {
  const { machine, time, settings } = report;
  const cells = (tag: string, values: readonly string[]) =>
    `<tr>${values.map((value) => `<${tag}>${escapeHtml(value)}</${tag}>`).join('')}</tr>`;
  const about = `${machine.cpu}, ${machine.cores} cores, ${machine.platform}, Node.js ${machine.node}, OpenSSL ${machine.openssl}; ${time}`;
  const how = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>keyless-tls: native against remote signing</title><style>${STYLE}</style></head><body>
<h1>Native against remote signing</h1>
${summary(report)
  .map((sentence) => `<p>${escapeHtml(sentence)}</p>`)
  .join('\n')}
<h2>CPU for one full handshake, milliseconds</h2>
${plot(report.handshakes)}
<div class="wide"><table><thead>${cells('th', COLUMNS)}</thead><tbody>${report.handshakes.map((each) => cells('td', row(each))).join('')}</tbody></table></div>
<footer><p>${escapeHtml(about)}</p><p>Medians of interleaved rounds (smallest–largest); CPU by the server's own rusage; sessions never resumed. ${escapeHtml(how.join(', '))}.</p></footer>
</body></html>
`;
}
