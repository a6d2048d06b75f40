/** Reports and samples of the benchmark that were never measured. */
import type { Environment } from '../../lib/cli/bench/environment.ts';
import type { Machine } from '../../lib/cli/bench/machine.ts';
import type { Answered } from '../../lib/cli/bench/question.ts';
import type { Report } from '../../lib/cli/bench/report.ts';
import type { Sample } from '../../lib/cli/bench/sample.ts';
import { CONCURRENT, FULL } from '../../lib/cli/bench/scale.ts';
import { verdictsOf } from '../../lib/cli/bench/verdicts.ts';
import type { Waits } from '../../lib/cli/bench/waits.ts';

const MACHINE: Machine = {
  ...{ version: '0.0.0', node: 'v0', openssl: '3', opensslCommand: null, cpu: 'a processor', cores: 2 },
  ...{ code: { javascript: '0123456789abcdef'.repeat(4), addon: null } },
  ...{ platform: 'linux-x64', kernel: '6', load: [0, 0, 0] },
};

export function reportWith(
  answers: readonly Answered[],
  machine: Partial<Machine> = {},
  environment: Environment = { given: {}, withheld: [] },
): Report {
  return {
    time: '2026-01-01T00:00:00.000Z',
    seconds: 12.3,
    machine: { ...MACHINE, ...machine },
    placement: 'each where it belongs',
    settings: { ...FULL, concurrent: CONCURRENT, arguments: [], environment },
    warnings: [],
    verdicts: verdictsOf(answers),
    answers,
  };
}

export const QUIET: Waits = { edge: 0, 'key server': 0, clients: 0, stolen: 0, standstill: 0 };

const FULL_HANDSHAKE = { operations: 1, resumed: 0 } as const;
/** What edges that have their keys count. */
export const NATIVELY = { operations: 0, due: { operations: 0, resumed: 0 } } as const;
export const RESUMED = { operations: 0, resumed: 1, due: { operations: 0, resumed: 1 } } as const;

/** Five rounds of a quiet machine in which nothing is wrong. */
export function samplesWith(figures: Partial<Sample>): Sample[] {
  const sample: Sample = {
    ...{ handshakes: 100, edgeCpuMs: 1, keyServerCpuMs: 0.1, clientCpuMs: 0.5, perSecond: 900 },
    ...{ medianMs: 1, p99Ms: 2, clientProcesses: 1, clientUtilisation: 0.5, clientUtilisationByKernel: 0.5 },
    ...{ operations: 1, resumed: 0, agreement: 1, due: FULL_HANDSHAKE, waits: QUIET },
    ...figures,
  };
  return Array.from({ length: 5 }, () => sample);
}

/** @param raw of an answer; @returns how many rounds each contestant has, wherever in it they are */
export function roundsIn(raw: unknown): number[] {
  if (typeof raw !== 'object' || raw === null) return [];
  const isRound = (each: unknown) => typeof each === 'object' && each !== null && 'waits' in each;
  if (Array.isArray(raw) && raw.length > 0 && raw.every(isRound)) return [raw.length];
  return Object.values(raw).flatMap(roundsIn);
}
