/**
 * Bundles what the start of an isolated app waits for; a file of its own costs Node.js half a millisecond for each module.
 * `npm run build:ts` does it after the compiler, out of lib/ and into dist/lib/.
 *
 * The process that holds keys becomes one file. Of the app's process, what `isolate` loads at once
 * and what it loads with the first key become a chunk each. Modules have state that must be there once, and errors a class: so the
 * files of dist/lib/ whose modules are in a chunk stay, and hand on what is in it.
 */
import { rmSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const SOURCES = fileURLToPath(new URL('../lib/', import.meta.url));
const OUTPUT = fileURLToPath(new URL('../dist/lib/', import.meta.url));
const PLATFORM = { platform: 'node', external: /^node:/ };

/** CommonJS starts sooner than ES modules. */
const KEY_PROCESS = { from: 'keepers/key-process-main.ts', to: 'keepers/key-process-main.cjs' };

/** In the order in which they are loaded: what is in one is not in the next. */
const CHUNKS = [
  { entry: 'wrap/isolate.ts', name: 'isolate-chunk' },
  { entry: 'wrap/move-keys.ts', name: 'move-keys-chunk' },
];

const ENTRIES = CHUNKS.map(({ entry }) => SOURCES + entry);

async function bundleProcess({ from, to }) {
  const bundle = await rolldown({ ...PLATFORM, input: SOURCES + from });
  await bundle.write({ file: OUTPUT + to, format: 'cjs', codeSplitting: false });
  await bundle.close();
}

/** @returns the files of all modules behind an entry, itself among them */
async function modulesBehind(entry) {
  const bundle = await rolldown({ ...PLATFORM, input: SOURCES + entry, treeshake: false });
  const { output } = await bundle.generate({ codeSplitting: false });
  await bundle.close();
  return output.flatMap(({ moduleIds = [] }) => moduleIds).filter((id) => id.startsWith(SOURCES));
}

/** @returns where a module is in dist/lib/, without its extension */
const placeOf = (id) => relative(SOURCES, id).replace(/\.ts$/, '');

/**
 * A module finds files by where it is, and not by where its chunk is; in an app's bundle that may be nowhere. Lines stay as they
 * are, and so does the map.
 */
const placeOfModule = {
  name: 'place-of-module',
  transform(code, id) {
    if (ENTRIES.includes(id) || !code.includes('import.meta.url')) return undefined;
    const place = `(import.meta.url && new URL(${JSON.stringify(`./${placeOf(id)}.js`)}, import.meta.url).href)`;
    return { code: code.replaceAll('import.meta.url', place), map: null };
  },
};

/** @returns the chunk of each module; the entries are in none: their code runs when they are loaded, not when their chunk is */
async function chunkOfModules() {
  const chunks = new Map();
  for (const { entry, name } of CHUNKS) {
    for (const id of await modulesBehind(entry)) if (!chunks.has(id)) chunks.set(id, name);
  }
  for (const entry of ENTRIES) chunks.delete(entry);
  return chunks;
}

async function bundleChunks() {
  const chunks = await chunkOfModules();
  const files = [...ENTRIES, ...chunks.keys()];
  const bundle = await rolldown({
    ...PLATFORM,
    input: Object.fromEntries(files.map((id) => [placeOf(id), id])),
    preserveEntrySignatures: 'strict',
    plugins: [placeOfModule],
  });
  const groups = CHUNKS.map(({ name }) => ({ name, test: (id) => chunks.get(id) === name }));
  await bundle.write({
    ...{ dir: OUTPUT, format: 'es', sourcemap: true, codeSplitting: { groups } },
    ...{ entryFileNames: '[name].js', chunkFileNames: '[name].mjs' },
  });
  await bundle.close();
  // The compiler's maps, of what these files were.
  for (const id of chunks.keys()) rmSync(`${OUTPUT}${placeOf(id)}.js.map`, { force: true });
}

await bundleProcess(KEY_PROCESS);
await bundleChunks();
