import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { SignRequest } from '../../../lib/protocol/request-decoder.ts';
import { SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import type { Asking, Outcome, PatientAsker } from '../../../lib/server/asking.ts';
import { EVERYTHING, type Grant } from '../../../lib/server/grants.ts';
import type { StoredKey } from '../../../lib/server/key-store.ts';
import { RecentSignatures } from '../../../lib/server/recent-signatures.ts';
import { ReplayGuard } from '../../../lib/server/replay-guard.ts';
import { signedDigests } from '../../../lib/server/signed-digests.ts';
import { SignedOnce } from '../../../lib/server/signed-once.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const KEY: StoredKey = {
  ...{ keyId: randomBytes(20), kind: { type: 'ec', curve: 'P-256', modulusBytes: undefined }, label: 'key' },
  workplace: { atOnce: () => 1 },
  sign: () => assert.fail(),
} as unknown as StoredKey;

function requestOf(message: string, servername = 'www.example.org'): SignRequest {
  const bytes = Buffer.from(message);
  return {
    ...{ kind: 'sign', method: SIGNING_METHODS.ecdsa_sha256, context: undefined },
    ...{ digest: createHash('sha256').update(bytes).digest(), message: bytes },
    selector: { keyId: KEY.keyId, certificateDigest: undefined },
    servername: Buffer.from(servername),
  };
}

interface Edge extends Asking {
  there: boolean;
  waits: number;
}

function edgeOf(client = 'edge', grant: Grant = EVERYTHING): Edge {
  const edge: Edge = {
    ...{ client, ours: true, key: KEY, repeats: false, there: true, waits: 0 },
    ...{ grant: () => grant, wanted: () => edge.there, waitedMs: () => edge.waits },
  };
  return edge;
}

class Setting {
  readonly clock = new ManualClock();
  readonly once = new SignedOnce(
    new ReplayGuard({ capacity: 1000, windowMs: 600_000, clock: this.clock }),
    new RecentSignatures({ clock: this.clock }),
  );
  /** Who waits for each signature that was begun. */
  readonly begun: PatientAsker[] = [];

  ask(request: SignRequest, edge: Edge, outcome: Outcome | Promise<Outcome>): Outcome | Promise<Outcome> {
    return this.once.run({ request, digests: signedDigests(request, []), key: KEY }, edge, (askers) => {
      this.begun.push(askers);
      return outcome;
    });
  }
}

const [ONE, ANOTHER] = [Buffer.from('one signature'), Buffer.from('another one')];

/** A signature that is being made. */
function making() {
  let finish!: (outcome: Outcome) => void;
  let fail!: (error: Error) => void;
  const outcome = new Promise<Outcome>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  return { outcome, finish, fail };
}

test('a repeat of the same client has the signature that was made; nothing is signed for it', () => {
  const setting = new Setting();
  const [first, second] = [edgeOf(), edgeOf()];
  assert.equal(setting.ask(requestOf('a'), first, ONE), ONE);
  assert.deepEqual(setting.ask(requestOf('a'), second, ANOTHER), ONE);
  assert.deepEqual([setting.begun.length, first.repeats, second.repeats], [1, false, true]);
});

test('another client, another name, or later: refused', () => {
  const setting = new Setting();
  setting.ask(requestOf('a'), edgeOf(), ONE);
  assert.equal(setting.ask(requestOf('a'), edgeOf('edge 2'), ANOTHER), 'replayed');
  assert.equal(setting.ask(requestOf('a', 'www.example.net'), edgeOf(), ANOTHER), 'replayed');
  setting.clock.advance(15_001);
  const late = edgeOf();
  assert.equal(setting.ask(requestOf('a'), late, ANOTHER), 'replayed');
  assert.deepEqual([setting.begun.length, late.repeats], [1, false]);
});

test('while it is being made a repeat joins; another client or name is refused', async () => {
  const setting = new Setting();
  const { outcome, finish } = making();
  const first = setting.ask(requestOf('a'), edgeOf(), outcome);
  const repeats = [edgeOf(), edgeOf()].map((edge) => ({
    edge,
    answer: setting.ask(requestOf('a'), edge, ANOTHER),
  }));
  assert.equal(setting.ask(requestOf('a'), edgeOf('edge 2'), ANOTHER), 'replayed');
  assert.equal(setting.ask(requestOf('a', 'www.example.net'), edgeOf(), ANOTHER), 'replayed');
  finish(ONE);
  assert.equal(await first, ONE);
  for (const { edge, answer } of repeats) assert.deepEqual([await answer, edge.repeats], [ONE, true]);
  assert.deepEqual(await setting.ask(requestOf('a'), edgeOf(), ANOTHER), ONE);
  setting.clock.advance(15_001);
  assert.equal(await setting.ask(requestOf('a'), edgeOf(), ANOTHER), 'replayed', 'too late for it');
  assert.equal(setting.begun.length, 1);
});

test('what was not signed is told to all who wait, and may be signed afterwards', async () => {
  const setting = new Setting();
  const { outcome, finish } = making();
  const both = [
    setting.ask(requestOf('a'), edgeOf(), outcome),
    setting.ask(requestOf('a'), edgeOf(), ANOTHER),
  ];
  finish('overloaded');
  assert.deepEqual(await Promise.all(both), ['overloaded', 'overloaded']);
  assert.equal(setting.ask(requestOf('a'), edgeOf(), 'key-failed'), 'key-failed');
  const broken = making();
  const lost = setting.ask(requestOf('a'), edgeOf(), broken.outcome);
  broken.fail(new Error('no'));
  assert.equal(await lost, 'failed');
  const last = edgeOf('edge 2');
  assert.equal(setting.ask(requestOf('a'), last, ANOTHER), ANOTHER);
  assert.equal(last.repeats, false);
});

test('it is wanted while anybody waits who asked for it, by what that one may', () => {
  const setting = new Setting();
  const [before, now]: Grant[] = [{ ...EVERYTHING }, { ...EVERYTHING }] as [Grant, Grant];
  const [first, second, third] = [edgeOf('edge', before), edgeOf('edge', before), edgeOf('edge', now)];
  void setting.ask(requestOf('a'), first!, making().outcome);
  const [askers] = setting.begun;
  assert.deepEqual([askers!.client, askers!.wanted()], ['edge', true]);
  first!.waits = 7;
  assert.equal(askers!.waitedMs(), 7);
  first!.there = false;
  assert.equal(askers!.wanted(), false);
  void setting.ask(requestOf('a'), second!, making().outcome);
  void setting.ask(requestOf('a'), third!, making().outcome);
  assert.equal(askers!.wanted(), true);
  second!.there = false;
  assert.equal(askers!.grant(), now);
  third!.there = false;
  assert.equal(askers!.wanted(), false);
});

test('what waits for no turn is asked for by who asked first, and a repeat has its signature all the same', async () => {
  const setting = new Setting();
  const key = { ...KEY, workplace: undefined };
  const request = requestOf('a');
  const toSign = { request, digests: signedDigests(request, []), key };
  const [first, second] = [edgeOf(), edgeOf()];
  const { outcome, finish } = making();
  const made = setting.once.run(toSign, first, (asker) => {
    assert.equal(asker, first);
    return outcome;
  });
  const repeated = setting.once.run(toSign, second, () => assert.fail());
  finish(ONE);
  assert.deepEqual([await made, await repeated, second.repeats], [ONE, ONE, true]);
});

test('what the guard takes for signed, and was not, is refused', () => {
  const { clock } = new Setting();
  const full = { take: () => undefined, windowMs: 600_000 } as unknown as ReplayGuard;
  const once = new SignedOnce(full, new RecentSignatures({ clock }));
  const request = requestOf('a');
  const outcome = once.run({ request, digests: signedDigests(request, []), key: KEY }, edgeOf(), () => ONE);
  assert.equal(outcome, 'replayed');
});
