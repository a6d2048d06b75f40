/** `node hardened-program.js library`: makes the system calls of system-calls.ts, gives up what it can, and makes them again. */
import { writeSync } from 'node:fs';
import { hardenProcess } from '../../lib/engine/hardening.ts';

try {
  process.dlopen({ exports: {} }, process.argv[2]!);
} catch {
  // It is no addon, and stays loaded.
}
process.kill(process.pid, 'SIGUSR2');
const hardening = hardenProcess();
process.kill(process.pid, 'SIGUSR2');
// Not by process.stdout, which would ask what it is.
writeSync(1, `${JSON.stringify(hardening)}\n`);
