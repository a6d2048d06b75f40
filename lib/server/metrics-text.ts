/**
 * Metrics in the text format of Prometheus (version 0.0.4), where there may be as many lines as would hold up everything else: between
 * two slices of them the event loop goes on. A series is told whole; of two, one may know an operation that the other does not.
 */

/** A metric that is counted in plain numbers. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'histogram';
  /** The lines of each. What is counted meanwhile may be among them. */
  series(): Iterable<readonly string[]>;
}

/** About a millisecond. */
const SLICE_LINES = 500;

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '"': '\\"' };

/** @param names as many as `values`. @returns what is in the braces */
export function labelText(names: readonly string[], values: readonly string[]): string {
  const escaped = values.map((value) => value.replace(/[\\\n"]/g, (character) => ESCAPES[character]!));
  return names.map((name, at) => `${name}="${escaped[at]}"`).join(',');
}

/** Slices of it, one in a turn of the event loop. */
function* slicesOf(families: readonly MetricFamily[]): IterableIterator<string> {
  let lines: string[] = [];
  for (const family of families) {
    const { name, help, type } = family;
    lines.push('', `# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const series of family.series()) {
      lines.push(...series);
      if (lines.length < SLICE_LINES) continue;
      yield lines.join('\n');
      lines = [];
    }
  }
  yield lines.join('\n');
}

/** @returns each with an empty line before it */
export async function metricsText(families: readonly MetricFamily[]): Promise<string> {
  const slices: string[] = [];
  for (const slice of slicesOf(families)) {
    slices.push(slice);
    await new Promise(setImmediate);
  }
  return `${slices.join('\n')}\n`;
}
