/** The sentences of the report follow from its figures, whichever way these go; what cannot be is no sentence. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Doubts } from '../../../../lib/cli/bench/doubts.ts';
import { ONE_PAIR } from '../../../../lib/cli/bench/estimate.ts';
import { otherOpenssl } from '../../../../lib/cli/bench/machine.ts';
import type { Answered } from '../../../../lib/cli/bench/question.ts';
import * as bulk from '../../../../lib/cli/bench/questions/bulk.ts';
import * as clients from '../../../../lib/cli/bench/questions/clients.ts';
import * as distance from '../../../../lib/cli/bench/questions/distance.ts';
import type { Result } from '../../../../lib/cli/bench/questions/handshakes-result.ts';
import * as handshakes from '../../../../lib/cli/bench/questions/handshakes-words.ts';
import * as isolate from '../../../../lib/cli/bench/questions/isolate.ts';
import { doubtsOfOpenssl } from '../../../../lib/cli/bench/questions/key-server.ts';
import * as memory from '../../../../lib/cli/bench/questions/memory.ts';
import * as resumed from '../../../../lib/cli/bench/questions/resumed.ts';
import * as shim from '../../../../lib/cli/bench/questions/shim.ts';
import { textReport } from '../../../../lib/cli/bench/report.ts';
import { ratioOf } from '../../../../lib/cli/bench/rounds.ts';
import type { Sample } from '../../../../lib/cli/bench/sample.ts';
import type { Site } from '../../../../lib/cli/bench/sites.ts';
import { type State, verdictsOf } from '../../../../lib/cli/bench/verdicts.ts';
import { NATIVELY, QUIET, RESUMED, reportWith, samplesWith } from '../../../helpers/bench.ts';

const DISTURBED = { cpuMs: 1, waits: { ...QUIET, edge: 0.5 } };

/** CPU of the edge, milliseconds. */
function handshake(site: Site, native: number, remote: number, signatureCpuMs: number): Result {
  const sides = {
    native: samplesWith({ edgeCpuMs: native, ...NATIVELY }),
    remote: samplesWith({ edgeCpuMs: remote, keyServerCpuMs: signatureCpuMs * 1.2 + 0.05 }),
  };
  const signature = [{ cpuMs: signatureCpuMs, waits: QUIET }];
  return { site, version: 'TLSv1.3', generations: 1, batch: sides, alone: sides, signature };
}

test('a ratio is of the first to the second, and so are the targets', () => {
  const rsa = handshake('RSA-2048', 1, 0.5, 0.6);
  assert.equal(ratioOf(rsa.batch.remote, rsa.batch.native), 0.5);
  const measured = handshakes.measuredOf([rsa, handshake('P-256', 0.5, 0.55, 0.02)]);
  const onePair = { allowance: ONE_PAIR, doubtful: false, disturbed: false };
  const rounded = (value: number) => Number(value.toFixed(9));
  const plain = (all: typeof measured) =>
    all.map((each) => ({ ...each, interval: each.interval?.map(rounded) }));
  assert.deepEqual(
    plain(measured),
    plain([
      // Of rounds that are all the same; processes differ.
      { target: 'rsaCost', value: 0.5, interval: [0.5 / ONE_PAIR, 0.5 * ONE_PAIR], ...onePair },
      {
        target: 'rsaGain',
        value: 2,
        interval: [1 / (0.5 * ONE_PAIR), 1 / (0.5 / ONE_PAIR)],
        ...onePair,
      },
      { target: 'ecCost', value: 1.1, interval: [1.1 / ONE_PAIR, 1.1 * ONE_PAIR], ...onePair },
    ]),
  );
});

test('who gains and who loses is said by the figures', () => {
  const both = [handshake('RSA-2048', 1, 0.5, 0.6), handshake('P-256', 0.5, 0.55, 0.02)];
  const text = handshakes.conclusionsOf(both).join('\n');
  assert.match(
    text,
    /RSA-2048, TLS 1\.3: remote, the edge spends 0\.50 × the CPU of native .* 2\.00 × the handshakes/,
  );
  assert.match(text, /An edge core does more handshakes than natively with RSA-2048, TLS 1\.3\.$/m);
  assert.match(text, /does fewer handshakes with P-256, TLS 1\.3: to ask costs it more/);
  assert.match(
    text,
    /All processes together spend 1\.\d\d × to 1\.\d\d × the CPU of native: the signature is still made/,
  );
  const onlyLoss = handshakes.conclusionsOf([handshake('P-256', 0.5, 0.55, 0.02)]).join('\n');
  assert.doesNotMatch(onlyLoss, /does more handshakes/);
});

test('of whom the rounds do not tell, it is not said that he gains or loses', () => {
  const rounds = (site: Site, native: readonly number[], remote: readonly number[]) => {
    const samples = (values: readonly number[]) =>
      values.flatMap((edgeCpuMs) => samplesWith({ edgeCpuMs })[0]!);
    const sides = { native: samples(native), remote: samples(remote) };
    return { ...handshake(site, 1, 1, 0.3), batch: sides };
  };
  // In the medians 4 and 15 % more, and 4 % less.
  const apart = rounds('P-256', [0.27, 0.28, 0.265, 0.29, 0.26], [0.28, 0.276, 0.29, 0.262, 0.285]);
  const wide = rounds('P-384', [1, 1.2, 1, 1.3, 1], [1, 1.2, 1.2, 1.1, 1.15]);
  const near = rounds('Ed25519', [1, 1, 1, 1, 1], [0.96, 0.96, 0.96, 0.96, 0.96]);
  const text = handshakes.conclusionsOf([apart, wide, near]).join('\n');
  assert.doesNotMatch(text, /does (more|fewer) handshakes|the signature is still made/);
  assert.match(
    text,
    /^Whether it does more or fewer, these rounds do not tell of P-256.*; P-384.*; Ed25519/m,
  );
  assert.match(
    handshakes.conclusionsOf([{ ...near, generations: 5 }]).join(),
    /does more handshakes than natively with Ed25519/,
  );
});

test('an edge that saves more than its signature is a doubt, not a fact, and its target is not met', () => {
  const impossible = handshake('P-256', 1, 0.85, 0.03);
  assert.ok(handshakes.isImpossible({ ...impossible, signature: [DISTURBED, ...impossible.signature] }));
  assert.deepEqual(handshakes.conclusionsOf([impossible]), []);
  assert.match(
    handshakes.doubts([impossible]).warnings.join(),
    /saves the edge 15 % .* signature is 3 %.* cannot be/,
  );
  assert.equal(handshakes.measuredOf([impossible])[0]?.doubtful, true);
  assert.ok(!handshakes.isImpossible(handshake('RSA-3072', 1.8, 0.57, 1.4)));
});

test('of a signature that something disturbed in every round neither a share nor an impossible saving is said', () => {
  const unknown = { ...handshake('RSA-2048', 1, 0.5, 0.4), signature: [DISTURBED] };
  // No share of its signature.
  assert.match(handshakes.conclusionsOf([unknown]).join(), /for each edge core\. Edge,/);
  const { warnings } = handshakes.doubts([unknown]);
  assert.match(warnings.join(), /^What the signature alone takes is not known.* \(RSA-2048, TLS 1\.3\)\.$/);
});

/** Of an answer with these: would it be met or not without the doubts, and with them? */
function statesOf(name: string, measured: Answered['measured'], doubts: Doubts): readonly State[] {
  const { target } = measured[0]!;
  const answer = { ...ISOLATE, name, measured };
  return [answer, { ...answer, ...doubts }].map(
    (each) => verdictsOf([each]).find((verdict) => verdict.name === target)!.state,
  );
}

test('by handshakes that were not full, or not resumed, or miscounted, no target is met or not, and they are told', () => {
  const full = handshake('RSA-2048', 1, 0.45, 0.6);
  const measured = handshakes.measuredOf([full]);
  assert.deepEqual(handshakes.doubts([full]), { warnings: [], disowned: false, disturbed: false });
  for (const [more, warning] of [
    [{ operations: 0.5 }, /not all handshakes were full/],
    [{ resumed: 0.5 }, /not between full handshakes/],
    [{ agreement: 0.9 }, /counted different numbers/],
  ] as const) {
    const remote = samplesWith({ edgeCpuMs: 0.45, keyServerCpuMs: 0.8, ...more });
    const doubts = handshakes.doubts([{ ...full, alone: { ...full.alone, remote } }]);
    assert.match(doubts.warnings.join(), warning);
    assert.deepEqual(statesOf('handshakes', measured, doubts), ['met', 'not certain']);
  }
  const sides = (more: Partial<Sample>) => ({
    ...({
      site: 'RSA-2048',
      version: 'TLSv1.3',
      native: samplesWith(RESUMED),
    } as const),
    remote: samplesWith({ ...RESUMED, ...more }),
  });
  assert.deepEqual(resumed.doubts([sides({})]), { warnings: [], disowned: false, disturbed: false });
  assert.match(resumed.wordsOf([sides({})]), /needs no private key, and the key server was not asked\.$/);
  assert.match(resumed.wordsOf([sides({ operations: 0.01 })]), /needs no private key\.$/);
  const equal = [{ target: 'resumed13', value: 1, interval: [0.99, 1.01] }] as const;
  for (const [more, warning] of [
    [{ resumed: 0.9 }, /Not every handshake was resumed/],
    [{ operations: 1 }, /The key server was asked/],
  ] as const) {
    const doubts = resumed.doubts([sides(more)]);
    assert.match(doubts.warnings.join(), warning);
    assert.deepEqual(statesOf('resumed', equal, doubts), ['met', 'not certain']);
  }
});

test('other programs in the rounds of one case are a doubt of its target, and of no other; they are told in any case', () => {
  const waits = { ...QUIET, edge: 0.3 };
  const [rsa, p256] = [handshake('RSA-2048', 1, 0.45, 0.6), handshake('P-256', 0.3, 0.32, 0.05)];
  const disturbedIn = (...results: readonly Result[]) => [
    handshakes.doubts(results).disturbed,
    ...handshakes.measuredOf(results).map(({ disturbed }) => disturbed),
  ];
  const held = (result: Result, group: 'batch' | 'alone') => {
    const { native, remote } = result[group];
    return { ...result, [group]: { native, remote: remote.map((each) => ({ ...each, waits })) } };
  };
  assert.deepEqual(disturbedIn(rsa, p256), [false, false, false, false]);
  assert.deepEqual(disturbedIn(held(rsa, 'batch'), p256), [true, true, true, false]);
  assert.deepEqual(disturbedIn(rsa, held(p256, 'batch')), [true, false, false, true]);
  // No target is of handshakes one at a time, nor of other cases.
  assert.deepEqual(disturbedIn(held(rsa, 'alone'), p256), [true, false, false, false]);
  const more = held({ ...handshake('P-384', 1, 0.5, 0.6) }, 'batch');
  assert.deepEqual(disturbedIn(rsa, p256, more), [true, false, false, false]);
});

test('a ratio is of both sides: other programs beside the rounds of either one are a doubt of it', () => {
  const waits = { ...QUIET, edge: 0.3 };
  const held = (samples: readonly Sample[]) => samples.map((each) => ({ ...each, waits }));
  const rsa = handshake('RSA-2048', 1, 0.45, 0.6);
  for (const side of ['native', 'remote'] as const) {
    const batch = { ...rsa.batch, [side]: held(rsa.batch[side]) };
    const all = handshakes.measuredOf([{ ...rsa, batch }]);
    assert.ok(all.length > 0 && all.every(({ disturbed }) => disturbed), side);
  }
  const app = isolated();
  for (const side of ['native', 'isolated'] as const) {
    const one = { ...app, [side]: app[side].map((each) => ({ ...each, waits })) };
    assert.equal(isolate.measuredOf([one], true)[0]?.disturbed, true, side);
  }
  const shims = { native: samplesWith({}), local: samplesWith({}), unverified: samplesWith({}) };
  const natively = shim.measuredOf({ ...shims, native: held(shims.native) }, 5);
  assert.deepEqual(
    natively.map(({ disturbed }) => disturbed),
    [true, true],
  );
});

test('other programs in the rounds of one app, or one shim, are no doubt of another', () => {
  const waits = { ...QUIET, edge: 0.3 };
  const app = isolated();
  const busy = { ...app, isolated: app.isolated.map((each) => ({ ...each, waits })) };
  const [own] = isolate.measuredOf([busy], true);
  const [other] = isolate.measuredOf([app, { ...busy, site: 'P-256' }], true);
  assert.deepEqual([own?.disturbed, other?.disturbed], [true, false]);
  const sides = { native: samplesWith({ edgeCpuMs: 1 }), local: samplesWith({ edgeCpuMs: 1.01 }) };
  const unverified = samplesWith({ edgeCpuMs: 1.01, waits });
  assert.deepEqual(
    shim.measuredOf({ ...sides, unverified }, 5).map(({ target, disturbed }) => [target, disturbed]),
    [
      ['rsaShim', true],
      ['rsaShimVerified', false],
    ],
  );
});

test('rates and latencies of clients that are full are no verdict', () => {
  const [app] = isolate.measuredOf([isolated()], true);
  assert.equal(app?.doubtful, false);
  const busy = isolated().isolated.map((each) => ({ ...each, clientUtilisation: 0.99 }));
  assert.equal(isolate.measuredOf([{ ...isolated(), isolated: busy }], true)[0]?.doubtful, true);
});

test('of clients that are no measure of the edge nothing is concluded', () => {
  const batch = samplesWith({});
  const of = (sTime: number, one: readonly Sample[] = []) =>
    clients.doubts({ batch, one, alone: batch, sTimeCpuMs: [sTime] });
  assert.deepEqual([of(1.1).disowned, of(1.5).disowned], [false, true]);
  assert.deepEqual([of(1.1, batch).disowned, of(1.1, samplesWith({ agreement: 2 })).disowned], [false, true]);
});

const far = (distanceMs: number, edgeCpuMs: number): distance.Result => ({
  ...{ distanceMs, native: samplesWith({ medianMs: 1 }), alone: samplesWith({ medianMs: 1.5 + distanceMs }) },
  many: samplesWith({ edgeCpuMs }),
});

test('whether distance costs work is said by the figures', () => {
  const same = distance.addedInWords(far(0, 0.3), far(80, 0.31));
  assert.match(same, /80 ms adds 80\.500 ms to native's, the link alone \(0 ms\) 0\.500 ms/);
  const unsteady = far(80, 0.31);
  const many = unsteady.many.map((each, index) => ({ ...each, edgeCpuMs: 0.31 + (index - 2) / 50 }));
  assert.match(
    distance.conclusionOf(far(0, 0.3), { ...unsteady, many }),
    /^Whether .*, these rounds do not tell: .* 1\.03 × .* \(0\.9\d × to 1\.1\d ×\)\.$/,
  );
  // One edge at both: nothing is left for what processes differ by.
  assert.match(distance.conclusionOf(far(0, 0.3), far(80, 0.31)), /3 % more .* \(1\.03 × to 1\.03 ×\)\.$/);
  assert.match(distance.conclusionOf(far(0, 0.33), far(80, 0.41)), /At 80 ms it spends 24 % more/);
  assert.match(distance.conclusionOf(far(0, 0.6), far(80, 0.45)), /25 % less/);
});

test('whose rate a transfer is, is said by what both sides used of their cores', () => {
  const transfer = (edgeUtilisation: number, clientUtilisation: number) => [
    ...[{ edgeCpuSeconds: 0.45, megabytesPerSecond: 1700, edgeUtilisation, clientUtilisation, waits: QUIET }],
  ];
  const of = (native: readonly [number, number], remote: readonly [number, number]) => {
    const sides = { native: transfer(...native), remote: transfer(...remote) };
    return [bulk.rateInWords(sides).join(), bulk.doubts(sides).warnings.join()];
  };
  assert.deepEqual(of([0.93, 0.99], [0.97, 0.4]), ['', '']);
  const [words, none] = of([0.76, 0.6], [0.93, 0.61]);
  assert.match(
    words!,
    /says nothing of the edge: .* used 76 % and 93 % of its core, the client 60 % and 61 %/,
  );
  assert.equal(none, '');
  assert.match(of([0.76, 0.99], [0.76, 0.8])[1]!, /^The clients used all of a core \(native 99 %\)/);
});

const ISOLATE: Answered = {
  ...{ name: 'isolate', title: '', failed: false, rounds: 5, words: [], tables: [], plots: [] },
  ...{ measured: [], warnings: [], disowned: false, disturbed: false, raw: 0 },
};

function isolated(): isolate.Result {
  const native = samplesWith({ edgeCpuMs: 0.5, perSecond: 2000 }).map((each) => ({
    ...each,
    holdersCpuMs: 0,
  }));
  const own = samplesWith({ edgeCpuMs: 0.25, perSecond: 1400 }).map((each) => ({
    ...each,
    holdersCpuMs: 0.2,
  }));
  return { site: 'RSA-2048', native, isolated: own };
}

test("isolate's target is the measured rate, however many cores there are; what the CPU allows is said beside it", () => {
  const measured = isolate.measuredOf([isolated()], true);
  assert.deepEqual([measured[0]?.target, measured[0]?.value], ['isolate', 0.7]);
  assert.match(measured[0]?.note ?? '', /CPU of both processes would allow 2\.00 ×/);
  assert.equal(
    verdictsOf([{ ...ISOLATE, measured }]).find(({ name }) => name === 'isolate')?.state,
    'not met',
  );
  const [one] = isolate.measuredOf([isolated()], false);
  assert.ok(Number.isNaN(one?.value));
  assert.match(isolate.costOf(isolated()), /0\.50 × the CPU of native, .* Measured were 0\.70 ×/);
  assert.match(isolate.gainOf(isolated()), /a core for each of both there is CPU for 2\.00 ×/);
});

test('who is the bottleneck is said by what was measured: edge, clients, or neither', () => {
  const words = (edgeCpuMs: number, perSecond: number, busy: number, one = 0, isPlaced = true) => {
    const [kernel, figures] = [busy, { edgeCpuMs, clientUtilisation: busy, clientUtilisationByKernel: busy }];
    const batch = samplesWith({ ...figures, perSecond, clientProcesses: one === 0 ? 1 : 2 });
    assert.equal(batch[0]?.clientUtilisationByKernel, kernel);
    const single = one === 0 ? [] : samplesWith({ ...figures, perSecond: one });
    const result = { batch, one: single, alone: batch, sTimeCpuMs: [] };
    return [...clients.wordsOf(result, isPlaced), ...clients.conclusionsOf(result, isPlaced)].join('\n');
  };
  // What was printed as "near 1, one is enough".
  const limited = words(0.28, 2000, 0.98);
  assert.match(limited, /uses 98 % of a core, the kernel says 98 %, and the edge 56 % of its own/);
  assert.match(limited, /^The clients are the bottleneck: .* the edge has CPU for 1\.79 × as many/m);
  assert.match(limited, /one process of clients: no core is free for another/);
  assert.match(words(0.28, 3500, 0.99, 2000), /^The clients are not the bottleneck: the edge uses its core/m);
  assert.match(words(0.28, 3500, 0.9, 2000), /makes 2000 handshakes a second, 2 make 3500: 1\.75 ×/);
  assert.match(words(0.28, 2000, 0.6), /^Neither clients nor edge use all of a core/m);
  // 62 % and 38 % of one core, which is full.
  const shared = words(0.25, 1520, 0.62, 0, false);
  assert.match(shared, /and the edge 38 % of one\.$/m);
  assert.match(
    shared,
    /^Clients and edge may share a core, .* together they use 100 % of one\. Rates are of both\.$/m,
  );
  assert.doesNotMatch(shared, /of its own|CPU for|bottleneck:|Neither/);
});

test('as many handshakes are paused as files allow', () => {
  const scale = { quick: false, rounds: 5, roundMs: 1, warmUpMs: 1 };
  assert.equal(memory.countOf(scale, 1e6), 5000);
  assert.equal(memory.countOf(scale, 924), 724);
});

test('that a paused handshake holds more, or less, is said where the rounds leave no doubt', () => {
  const held = memory.conclusionOf({ value: 15.2, interval: [14.9, 15.4] });
  assert.equal(held, 'Each paused handshake holds 15.2 KB more (14.9 to 15.4) than a native one under way.');
  const less = memory.conclusionOf({ value: -2.18, interval: [-5, -1] });
  assert.match(less, /^Each paused handshake holds 2\.18 KB less \(1\.00 to 5\.00\) than/);
  for (const [value, interval, words] of [
    [-2.18, [-10.3, 5.96], '2.18 KB less (-5.96 to 10.3)'],
    [11.1, [-5.99, 28.2], '11.1 KB more (-5.99 to 28.2)'],
    [11.1, undefined, '11.1 KB more'],
  ] as const) {
    const text = memory.conclusionOf({ value, interval });
    assert.equal(
      text,
      `These rounds do not tell whether a paused handshake holds more than a native one under way: ${words}.`,
    );
  }
});

test('memory that was swapped out, or that seems to shrink by handshakes, is a doubt, and its target is not met by that', () => {
  const of = (...more: readonly Partial<memory.Round>[]) =>
    memory.doubts(more.map((each) => ({ kilobytes: 60, swappedKilobytes: 0, ...each })));
  const measured = [{ target: 'memory', value: 15, interval: [14, 16] }] as const;
  assert.deepEqual(statesOf('memory', measured, of({}, { swappedKilobytes: undefined })), ['met', 'met']);
  for (const [more, warning] of [
    [{ swappedKilobytes: 4 }, /swapped out/],
    [{ kilobytes: -0.1 }, /cannot be/],
    [{ kilobytes: 0 }, /cannot be/],
  ] as const) {
    const doubts = of({}, more);
    assert.match(doubts.warnings.join(), warning);
    assert.deepEqual(statesOf('memory', measured, doubts), ['met', 'not certain']);
  }
});

test('a shim that seems to cost less than none is a doubt, and its target is not met by that', () => {
  const sides = (local: number) => ({
    native: samplesWith({ edgeCpuMs: 1 }),
    local: samplesWith({ edgeCpuMs: local }),
  });
  assert.equal(shim.measuredOf(sides(0.9), 5)[0]?.doubtful, true);
  assert.equal(shim.measuredOf(sides(1.01), 5)[0]?.doubtful, false);
});

test('an openssl command of another version is no measure of the same code, and that is told', () => {
  const [some, none] = [{ openssl: [1] }, { openssl: [] }];
  assert.deepEqual(doubtsOfOpenssl([some]), []);
  assert.match(
    doubtsOfOpenssl([some], '3.0.19').join(),
    /^openssl speed is of OpenSSL 3\.0\.19, the key server/,
  );
  assert.match(doubtsOfOpenssl([some, none], '3.0.19').join(), /^There is no openssl command/);
  assert.equal(otherOpenssl('OpenSSL 3.0.19 1 Jan 2026 (Library: OpenSSL 3.0.19)', '3.5.9'), '3.0.19');
  assert.equal(otherOpenssl('OpenSSL 3.0.19 1 Jan 2026', '3.0.19+quic'), undefined);
  assert.equal(otherOpenssl(null, '3.0.19'), undefined);
  const machine = { openssl: '3.5.9', opensslCommand: 'OpenSSL 3.0.19 1 Jan 2026' };
  assert.match(textReport(reportWith([], machine)), /OpenSSL 3\.5\.9, the openssl command 3\.0\.19;/);
});
