/**
 * Runs the fuzz targets: `node dist/test/fuzz/run.js [runs] [seed]`; 10,000,000 runs unless told otherwise, in a process for each core.
 * Ends with 1 and the input, in hexadecimal, at the first that a target throws at.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { encodeError, encodePong, encodeResult } from '../../lib/protocol/answers.ts';
import { encodeFrame } from '../../lib/protocol/frame-encoder.ts';
import { capabilitiesRequest, pingRequest, signRequest } from '../../lib/protocol/request-encoder.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { fuzz } from './frame-decoder.ts';
import { Dice, mutated } from './mutate.ts';

const DEFAULT_RUNS = 10_000_000;
const PART = '--part';
const context = {
  keyId: Buffer.alloc(20, 4),
  servername: 'www.example.org',
  clientAddress: '192.0.2.1',
  serverAddress: '2001:db8::1',
};

/** Short frames most of all: padding is the least interesting part of one. */
function unpadded(frame: Buffer): Buffer {
  const padding = frame.lastIndexOf(0x20);
  const cut = Buffer.from(padding > 8 ? frame.subarray(0, padding) : frame);
  cut.writeUInt16BE(cut.length - 8, 2);
  return cut;
}

function makeSeeds(): Buffer[] {
  const frames = [
    encodeFrame(1, pingRequest(Buffer.from('hello'))),
    encodeFrame(2, capabilitiesRequest()),
    encodeFrame(3, signRequest('ecdsa_secp256r1_sha256', certificateVerify(), context)),
    encodeFrame(4, signRequest('ed25519', certificateVerify(), context)),
    encodeFrame(5, signRequest('ed448', certificateVerify(), context)),
    encodeResult(6, Buffer.alloc(71, 7)),
    encodePong(7, undefined),
    encodeError(8, 2),
  ];
  return [...frames, ...frames.map(unpadded)].map((frame) => Buffer.concat([Buffer.of(6), frame]));
}

function run(runs: number, seed: number): number {
  const dice = new Dice(seed);
  const seeds = makeSeeds();
  const since = performance.now();
  for (let done = 0; done < runs; done += 1) {
    const input = mutated(dice, seeds);
    try {
      fuzz(input);
    } catch (error) {
      process.stderr.write(`seed ${seed}, run ${done}: ${String(error)}\n${input.toString('hex')}\n`);
      return 1;
    }
  }
  const seconds = (performance.now() - since) / 1000;
  process.stdout.write(`${runs} runs clean, seed ${seed}, ${Math.round(runs / seconds)} a second\n`);
  return 0;
}

/** Each with a seed of its own. @returns the exit code */
async function runOnAllCores(runs: number, seed: number): Promise<number> {
  const cores = availableParallelism();
  const self = fileURLToPath(import.meta.url);
  const parts = Array.from({ length: cores }, async (_, core) => {
    const part = fork(self, [PART, String(Math.ceil(runs / cores)), String(seed + core)]);
    const [code] = (await once(part, 'exit')) as [number | null];
    return code ?? 1;
  });
  return Math.max(...(await Promise.all(parts)));
}

const [first, ...rest] = process.argv.slice(2);
const isPart = first === PART;
const [runs = DEFAULT_RUNS, seed = Date.now() >>> 0] = (isPart ? rest : process.argv.slice(2)).map(Number);
// Most inputs are refused, and a stack costs more than all else.
Error.stackTraceLimit = 0;
process.exitCode = isPart ? run(runs, seed) : await runOnAllCores(runs, seed);
