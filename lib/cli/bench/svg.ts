/** What both kinds of plots are drawn with. */

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Of every plot; narrow, so that its text can be read on a phone. */
export const WIDTH = 440;

/** Names of the same thing have the same colour in every plot; `c0`, `c1`, … are in the page's style. */
const COLOURS: Readonly<Record<string, number>> = {
  native: 0,
  remote: 1,
  edge: 1,
  'key server': 2,
  'signature, on the edge': 3,
};
const COUNT = 6;

/** @returns a class for each name, in the order they came; none twice while there are enough */
export function coloursOf(names: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set(names.map((name) => COLOURS[name]));
  const free = Array.from({ length: COUNT }, (_, index) => index).filter((index) => !taken.has(index));
  let next = 0;
  const colour = (name: string) => COLOURS[name] ?? free[next++ % Math.max(1, free.length)] ?? 0;
  return new Map(names.map((name) => [name, `c${colour(name)}`]));
}

export function text(x: number, y: number, words: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes === '' ? '' : ` ${attributes}`}>${escapeHtml(words)}</text>`;
}

type Place = readonly [x: number, y: number];

/** From the smallest to the largest round. */
export function whisker([x1, y1]: Place, [x2, y2]: Place): string {
  return `<path class="whisker" d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}"/>`;
}

/** Its figures are in the tables of its section, which is what a reader of screens is told. */
export function svg(height: number, label: string, content: string): string {
  return `<svg viewBox="0 0 ${WIDTH} ${Math.ceil(height)}" role="img" aria-label="${escapeHtml(`${label}: a plot of figures that are in the tables below`)}">${content}</svg>`;
}

const LEGEND_ROW = 18;
const CHARACTER = 6.6;

/** @returns what to draw, and how high it is */
export function legend(colours: ReadonlyMap<string, string>, top: number): { drawn: string; height: number } {
  let [x, row] = [0, 0];
  const drawn = [...colours].map(([name, colour]) => {
    const width = 26 + name.length * CHARACTER;
    if (x > 0 && x + width > WIDTH) [x, row] = [0, row + 1];
    const y = top + row * LEGEND_ROW;
    const entry = `<rect class="${colour}" x="${x.toFixed(1)}" y="${y}" width="11" height="11" rx="2"/>${text(x + 16, y + 10, name)}`;
    x += width;
    return entry;
  });
  return { drawn: drawn.join(''), height: (row + 1) * LEGEND_ROW };
}

/** @returns the numbers 1, 2 or 5 times a power of ten from `least` to `most`, at most about `count` of them */
export function ticksOf(least: number, most: number, count = 5): number[] {
  const span = most - least || 1;
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((each) => each * power >= raw) ?? 10);
  const first = Math.ceil(least / step - 1e-9);
  const last = Math.floor(most / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}
