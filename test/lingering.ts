/**
 * Loaded into every process of the runner, before its test file: one that is still there long after its last test says what
 * keeps it and fails. The runner itself would wait for it without end.
 */
import { after } from 'node:test';
import { isMainThread } from 'node:worker_threads';

/** Longer than any `after` hook takes to end programs and servers. */
const LINGER_MS = 60_000;

// Children of tests that are forked get the same arguments, and no tests.
if (isMainThread && process.argv[1]?.endsWith('.test.js') === true) {
  after(() => {
    setTimeout(() => {
      console.error(`Kept alive after its last test by: ${process.getActiveResourcesInfo().join(', ')}`);
      process.exit(1);
    }, LINGER_MS).unref();
  });
}
