/** All questions, in the order they are asked. */
import type { Question } from './question.ts';
import { bulk } from './questions/bulk.ts';
import { clients } from './questions/clients.ts';
import { distance } from './questions/distance.ts';
import { handshakes } from './questions/handshakes.ts';
import { isolate } from './questions/isolate.ts';
import { keyServer } from './questions/key-server.ts';
import { load } from './questions/load.ts';
import { memory } from './questions/memory.ts';
import { resumed } from './questions/resumed.ts';
import { scaling } from './questions/scaling.ts';
import { shim } from './questions/shim.ts';

export const QUESTIONS: readonly Question[] = [
  ...[handshakes, resumed, shim, isolate],
  ...[load, distance, scaling],
  ...[bulk, memory, keyServer, clients],
];

/** What `--quick` asks where nothing is named: a minute is too short for all of them, after a warm-up that deserves the name. */
export const QUICK_QUESTIONS: readonly Question[] = [handshakes, resumed, load, distance, memory, keyServer];
