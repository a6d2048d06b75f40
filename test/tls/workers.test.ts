/** Servers on worker threads: each has its keys, and the end of one is its own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import nodeTls, { type TLSSocket } from 'node:tls';
import { connect, engineStats } from '../../lib/index.ts';
import { type Authority, type Issued, type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { remoteKey } from '../helpers/parity.ts';
import type { Answers, Face } from '../helpers/serving.ts';
import { type ServingOptions, serveOnThread, type Thread } from '../helpers/serving-parent.ts';
import { type Goal, gone, say, towards, visit, visitTls } from '../helpers/visits.ts';

const KINDS: readonly KeyKind[] = ['rsa', 'p256', 'ed25519', 'p384'];
/** To each server. */
const VISITS = 5;

let authority: Authority;
const issued = new Map<KeyKind, Issued>();

before(async () => {
  authority = await makeAuthority();
  for (const type of KINDS) issued.set(type, await authority.issue({ type }));
});

after(() => assert.equal(engineStats().paused, 0));

function certificate(type: KeyKind): Issued {
  return issued.get(type) as Issued;
}

const threads: Thread[] = [];

afterEach(() => Promise.all(threads.splice(0).map(({ worker }) => worker.terminate())));

async function thread(type: KeyKind, answers: Answers, more: Partial<ServingOptions> = {}): Promise<Thread> {
  const made = await serveOnThread({ issued: certificate(type), answers, ...more });
  threads.push(made);
  return made;
}

function goal({ serving }: Thread): Goal {
  return { port: serving.port, ca: authority.certPem };
}

/** A server of each kind of key, each on its thread, visited all at once. */
async function fourThreads(answers: Answers, face: Face) {
  const made = await Promise.all(KINDS.map((type) => thread(type, answers, { face })));
  const visits = await Promise.all(
    made.map((one) => Promise.all(Array.from({ length: VISITS }, () => visit(goal(one), face)))),
  );
  return {
    stories: visits.map((each) => each.map(({ story }) => story)),
    threads: new Set(visits.flatMap((each) => each.map(({ who }) => who))).size,
    operations: made.map(({ serving }) => serving.operations),
  };
}

describe('keyless servers on four threads at once', () => {
  for (const face of ['tls', 'https', 'http2'] as const) {
    for (const answers of ['here', 'parent'] as const) {
      const where = answers === 'here' ? 'each with its PrivateKey' : 'the keys on the main thread';
      it(`tell what native ones tell: ${face}, ${where}`, async () => {
        const native = await fourThreads('native', face);
        const keyless = await fourThreads(answers, face);
        assert.deepEqual(keyless.stories, native.stories);
        assert.deepEqual([native.threads, keyless.threads], [KINDS.length, KINDS.length]);
        assert.deepEqual(
          keyless.operations,
          Array(KINDS.length).fill(VISITS),
          'each thread is asked for its own',
        );
      });
    }
  }

  it('serve keyless clients of the main thread', async () => {
    const made = await Promise.all(
      KINDS.map((type) => thread(type, 'here', { clientCa: authority.certPem })),
    );
    let operations = 0;
    const { certPem, keyPem } = certificate('p256');
    const key = remoteKey(keyPem, 'turn', () => (operations += 1));
    const visits = await Promise.all(
      made.map((one) => visitTls(connect({ ...towards(goal(one)), cert: certPem, key }))),
    );
    assert.equal(new Set(visits.map(({ who }) => who)).size, KINDS.length);
    assert.equal(operations, KINDS.length);
  });
});

/** A thread is terminated with a connection open; another goes on with its connection and with new ones. */
async function endOfOne(answers: Answers): Promise<unknown[]> {
  const [ending, other] = await Promise.all([thread('rsa', answers), thread('p256', answers)]);
  const [lost, kept] = [ending, other].map((one) => nodeTls.connect(towards(goal(one)))) as [
    TLSSocket,
    TLSSocket,
  ];
  await Promise.all([say(lost, 'ping'), say(kept, 'ping')]);
  const closed = gone(lost);
  const log = [await ending.worker.terminate(), ...(await closed)];
  log.push((await say(kept, 'more')).echo, (await visit(goal(other))).story);
  kept.destroy();
  return log;
}

describe('a thread that ends while it serves', () => {
  it('ends its connections as a native one does, and the others go on', async () => {
    const native = await endOfOne('native');
    assert.deepEqual(await endOfOne('here'), native);
  });

  it('ends the handshakes that wait for its PrivateKey', async () => {
    const [ending, other] = await Promise.all([thread('rsa', 'never'), thread('rsa', 'here')]);
    const sockets = Array.from({ length: VISITS }, () => nodeTls.connect(towards(goal(ending))));
    const closed = sockets.map(gone);
    while (ending.serving.operations < VISITS) await once(ending.serving, 'asked');
    assert.equal(await ending.worker.terminate(), 1);
    await Promise.all(closed);
    await visit(goal(other));
    assert.equal(other.serving.operations, 1);
  });

  it('leaves handshakes of the main thread and of other threads where they are', async () => {
    const [ending, waiting] = await Promise.all([thread('rsa', 'here'), thread('p256', 'parent')]);
    await visit(goal(ending));
    waiting.serving.hold();
    const visited = visit(goal(waiting));
    await once(waiting.serving, 'asked');
    await ending.worker.terminate();
    waiting.serving.release();
    await visited;
    assert.equal(waiting.serving.operations, 1);
  });
});
