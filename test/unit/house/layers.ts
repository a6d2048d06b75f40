/**
 * The layers of lib/ and what each may import, checked over sources given as text: the same checker runs over lib/ and
 * over a made-up graph that breaks each rule.
 *
 * A layer is a folder of lib/ or a file beside them. A new one needs a row here: the decision is made once, in the open.
 */
import { posix } from 'node:path';
import { codeOf } from './source-tree.ts';

const TIME = ['clock', 'deadlines', 'patience', 'timers', 'turn'];
const CHAIN = ['errors', 'bag', ...TIME, 'protocol', 'signing', 'client', 'keys', 'engine', 'fleet'];
const FACES = ['tls', 'https', 'http2'];

/** What each layer may import besides itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  bag: [],
  clock: ['timers'],
  deadlines: ['clock', 'timers'],
  patience: ['clock', 'timers'],
  timers: [],
  turn: ['timers'],
  protocol: ['errors'],
  signing: ['errors', 'protocol'],
  client: ['errors', ...TIME, 'protocol'],
  keys: ['errors', 'clock', 'protocol', 'signing', 'client'],
  engine: ['errors', 'bag', ...TIME, 'keys'],
  fleet: ['errors', 'clock', 'patience', 'protocol', 'client', 'keys', 'engine'],
  tls: ['errors', 'keys', 'engine'],
  https: ['errors', 'keys', 'engine'],
  http2: ['errors', 'keys', 'engine'],
  'handshake-metrics': [],
  metrics: ['keys', 'handshake-metrics'],
  server: ['errors', 'bag', 'clock', 'protocol', 'signing', 'engine'],
  keepers: [...CHAIN, 'server'],
  index: [...CHAIN, 'server', 'keepers', 'tls'],
  wrap: [...CHAIN, 'server', 'keepers', ...FACES, 'index'],
  proxy: [...CHAIN, 'server', 'metrics', 'wrap'],
  cli: [...CHAIN, 'server', 'keepers', ...FACES, 'index', 'metrics', 'wrap', 'proxy'],
};

const READS_FILES_OR_ENVIRONMENT = ['cli', 'proxy', 'server', 'wrap'];
const ADDON = 'engine/addon.ts';
/** What Node.js, started once more, cannot do without. */
const KNOWS_ENVIRONMENT = ['keepers/library-paths.ts'];
/** Whether the addon's binary is there. */
const KNOWS_FILES = ['engine/binary.ts'];

const IMPORTS = [
  /^\s*(?:import|export)\s(?:[^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm,
  /\b(?:import|require)\(\s*['"]([^'"]+)['"]/g,
  /\bnew URL\(\s*['"](\.{1,2}\/[^'"]+\.[jt]s)['"]/g,
];
const FILE_MODULES = /^(?:node:)?fs(?:\/promises)?$/;
const ENVIRONMENT =
  /\bprocess\s*\??\.\s*env\b|\benv\b[^{}]*\}\s*(?:=\s*process\b|from\s+['"](?:node:)?process)/;
const LOADS_BINARY = /\bprocess\s*\.\s*dlopen\b|\.node['"`]/;

/** @returns what a source imports, in whatever manner: static, dynamic, for its types, or as a worker's file */
export function importsOf(source: string): string[] {
  const code = codeOf(source);
  return IMPORTS.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1]!));
}

/** @param path from lib/, for example `engine/hook.ts` */
export function layerOf(path: string): string {
  return path.split('/')[0]!.replace(/\.ts$/, '');
}

function breaksLayers(from: string, to: string): string | undefined {
  const [layer, target] = [layerOf(from), layerOf(to)];
  if (to === ADDON && layer !== 'engine') return `${from} imports ${to}: only engine/ talks to the addon`;
  if (layer === target || ALLOWED[layer]!.includes(target)) return undefined;
  return `${from} imports ${to}: ${layer} may import ${ALLOWED[layer]!.join(', ') || 'nothing'}`;
}

function checkImport(path: string, name: string, packages: readonly string[]): string | undefined {
  if (name.startsWith('.')) {
    const to = posix.join(posix.dirname(path), name).replace(/\.js$/, '.ts');
    return to.startsWith('..') ? `${path} imports ${name} from outside lib/` : breaksLayers(path, to);
  }
  if (
    FILE_MODULES.test(name) &&
    !KNOWS_FILES.includes(path) &&
    !READS_FILES_OR_ENVIRONMENT.includes(layerOf(path))
  ) {
    return `${path} imports ${name}: only ${READS_FILES_OR_ENVIRONMENT.join(', ')} read files`;
  }
  if (name.startsWith('node:') || packages.some((known) => name === known || name.startsWith(`${known}/`))) {
    return undefined;
  }
  return `${path} imports ${name}, which is none of package.json's dependencies`;
}

function checkFile(path: string, source: string, packages: readonly string[]): (string | undefined)[] {
  const layer = layerOf(path);
  if (!Object.hasOwn(ALLOWED, layer)) return [`${path}: "${layer}" is a layer without a row in ALLOWED`];
  const code = codeOf(source);
  const mayRead = READS_FILES_OR_ENVIRONMENT.includes(layer) || KNOWS_ENVIRONMENT.includes(path);
  const environment = !mayRead && ENVIRONMENT.test(code);
  return [
    ...importsOf(source).map((name) => checkImport(path, name, packages)),
    environment ? `${path} reads the environment` : undefined,
    layer !== 'engine' && LOADS_BINARY.test(code) ? `${path} loads a binary` : undefined,
  ];
}

/**
 * @param sources path from lib/ → source text
 * @param packages names of the packages that may be imported
 * @returns a sentence for each breach, in the order of the paths
 */
export function findBreaches(sources: ReadonlyMap<string, string>, packages: readonly string[]): string[] {
  return [...sources]
    .flatMap(([path, source]) => checkFile(path, source, packages))
    .filter((breach) => breach !== undefined);
}
