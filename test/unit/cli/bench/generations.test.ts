/** Targets are judged by what generations of edges differ by, and where there is one pair of processes it is allowed for. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import type { ClientPlan } from '../../../../lib/cli/bench/client-plans.ts';
import type { Edge } from '../../../../lib/cli/bench/edge.ts';
import { ONE_PAIR } from '../../../../lib/cli/bench/estimate.ts';
import { generationsOf } from '../../../../lib/cli/bench/generations.ts';
import type { Answer, Question } from '../../../../lib/cli/bench/question.ts';
import { bulk } from '../../../../lib/cli/bench/questions/bulk.ts';
import { handshakes } from '../../../../lib/cli/bench/questions/handshakes.ts';
import { resumed } from '../../../../lib/cli/bench/questions/resumed.ts';
import { shim } from '../../../../lib/cli/bench/questions/shim.ts';
import type { Scale } from '../../../../lib/cli/bench/scale.ts';
import { makeSiteFiles } from '../../../../lib/cli/bench/sites.ts';
import type { EdgeName, Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { QUIET, roundsIn } from '../../../helpers/bench.ts';

const files = makeSiteFiles();
after(() => rmSync(files.folder, { recursive: true }));

const SCALE: Scale = { quick: false, rounds: 5, roundMs: 1, warmUpMs: 1 };
const HANDSHAKES = 100;

/** Of no process: each generation of edges costs otherwise than the one before, and agrees with itself. */
class Pretended {
  readonly files = files;
  readonly scale: Scale;
  generation = 0;
  /** Handshakes in this version are disturbed. */
  disturbed: string | undefined;
  #version = '';
  readonly #counts = { cpuMs: 0, handshakes: 0, resumed: 0, operations: 0 };
  #measured: EdgeName = 'native';

  constructor(scale: Scale) {
    this.scale = scale;
  }

  readonly clients = {
    run: (plan: ClientPlan) => {
      const counts = this.#counts;
      this.#version = plan.version;
      const isResumed = plan.kind === 'closed' && plan.resume === true;
      counts.cpuMs += HANDSHAKES * (this.#measured === 'native' ? 1 : 1.2 + this.generation / 100);
      counts.handshakes += HANDSHAKES;
      if (isResumed) counts.resumed += HANDSHAKES;
      if (this.#measured !== 'native' && !isResumed) counts.operations += HANDSHAKES;
      return {
        handshakes: HANDSHAKES,
        wallMs: 100,
        cpuMs: 50,
        latencies: [1],
        processes: 1,
        utilisation: 0.5,
      };
    },
  };

  edge(name: EdgeName): Partial<Edge> {
    const ports = { 'RSA-2048': 1, 'P-256': 1, 'RSA-3072': 1, 'P-384': 1, Ed25519: 1 };
    const figures = async () => {
      this.#measured = name;
      return { ...this.#counts, paused: 0, connections: 0, residentBytes: 0, collections: 0 };
    };
    return { ports, figures, asks: name !== 'native' };
  }

  renew(): void {
    this.generation += 1;
  }

  async watched(_: unknown, work: () => Promise<unknown>) {
    const value = await work();
    return [value, this.#version === this.disturbed ? { ...QUIET, edge: 0.3 } : QUIET];
  }

  keyServerCpuMs = () => this.#counts.operations;
  say = () => undefined;
}

async function asked({ answer }: Question, scale: Scale): Promise<[Answer, Pretended]> {
  const workshop = new Pretended(scale);
  return [await answer(workshop as unknown as Workshop), workshop];
}

for (const question of [handshakes, resumed, shim, bulk]) {
  test(`each target of "${question.name}" is judged by several generations, with nothing left beside; --quick has one`, async () => {
    const [full, workshop] = await asked(question, SCALE);
    assert.equal(workshop.generation, generationsOf(SCALE) - 1);
    assert.ok(full.measured.length > 0 && !full.disowned, full.warnings.join());
    // So that whoever has the JSON can compute the intervals anew.
    assert.match(JSON.stringify(full.raw), new RegExp(`"generations":${generationsOf(SCALE)}\\b`));
    const counts = roundsIn(full.raw);
    assert.deepEqual(
      [Math.min(...counts), Math.max(...counts)],
      [question.rounds(SCALE), question.mostRounds?.(SCALE) ?? question.rounds(SCALE)],
    );
    for (const { target, value, interval, allowance } of full.measured) {
      assert.equal(allowance, undefined, target);
      const wide = target === 'rsaGain' ? value : 1 / value;
      // From 1.20 to 1.24, of five generations.
      assert.ok(Math.abs(wide * 1.22 - 1) < 0.01, `${target} ${value}`);
      assert.ok(interval![1] / interval![0] > 1.02 && interval![1] / interval![0] < 1.05, String(interval));
    }
    const [quick, one] = await asked(question, { ...SCALE, quick: true });
    assert.equal(one.generation, 0);
    for (const { target, allowance } of quick.measured) assert.equal(allowance, ONE_PAIR, target);
  });
}

for (const [question, disturbed, state] of [
  [resumed, 'TLSv1.2', [false, true]],
  [resumed, 'TLSv1.3', [true, false]],
  [bulk, 'TLSv1.3', [undefined]],
] as const) {
  test(`a target of "${question.name}" is held to its own rounds: others were there with ${disturbed}`, async () => {
    const workshop = new Pretended({ ...SCALE, quick: true });
    workshop.disturbed = disturbed;
    const answer = await question.answer(workshop as unknown as Workshop);
    assert.ok(answer.disturbed);
    assert.deepEqual(
      answer.measured.map((each) => each.disturbed),
      state,
    );
  });
}
