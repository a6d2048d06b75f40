/**
 * Ports for servers that end and come back to their own: none of those that a system gives to whoever connects or listens
 * without asking for one (Linux 32,768 and above, macOS and RFC 6335 §6 49,152 and above), or another test would have it meanwhile.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const FIRST = 10_000;
const LAST = 32_000;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}

/** @returns a port of 127.0.0.1 that nobody has now */
export async function lastingPort(): Promise<number> {
  let port = randomInt(FIRST, LAST);
  while (!(await isFree(port))) port = randomInt(FIRST, LAST);
  return port;
}
