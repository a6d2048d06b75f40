/**
 * Makes one file of the process that holds keys, and one of its worker thread: a handshake waits for the start of that
 * process, and thirty modules take a third of it. `npm run build:ts` does it after the compiler, out of dist/.
 *
 * Nothing else is bundled: modules of the app's process have state that must be there once.
 */
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const LIB = new URL('../dist/lib/', import.meta.url);
const path = (name) => fileURLToPath(new URL(name, LIB));

/** CommonJS starts sooner than ES modules. The worker is looked for beside the file that starts it. */
const BUNDLES = [
  { from: 'keepers/key-process-main.js', to: 'keepers/key-process-main.cjs' },
  { from: 'signing/raw-rsa-worker.js', to: 'keepers/raw-rsa-worker.cjs' },
];

for (const { from, to } of BUNDLES) {
  const bundle = await rolldown({ input: path(from), platform: 'node', external: /^node:/ });
  await bundle.write({ file: path(to), format: 'cjs', codeSplitting: false });
  await bundle.close();
}
