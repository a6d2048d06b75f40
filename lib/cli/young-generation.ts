/**
 * V8 lets the memory for young objects grow under any load, to 32 MB in Node 20, to 128 in Node 24, and gives none of it back. What a key
 * server makes for an operation is gone with its answer: more of that memory makes nothing faster.
 */
import { setFlagsFromString } from 'node:v8';

/** It stays as large as it is by now. V8 reads this flag whenever it is about to grow, so that it counts after the start, too. */
export function keepYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
