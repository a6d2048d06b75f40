/** Servers in the processes of a cluster, which share one port: each has its keys, and the end of one is its own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, before, describe, it } from 'node:test';
import nodeTls from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import type { Answers } from '../helpers/serving.ts';
import { kill, type Member, serveInCluster } from '../helpers/serving-parent.ts';
import { type Goal, gone, towards, type Visit, visit } from '../helpers/visits.ts';

const VISITS = 6;

let authority: Authority;
let issued: Issued;

before(async () => {
  authority = await makeAuthority();
  issued = await authority.issue({ type: 'rsa' });
});

const members: Member[] = [];

afterEach(() => Promise.all(members.splice(0).map((member) => kill(member))));

async function member(answers: Answers): Promise<Member> {
  const made = await serveInCluster({ issued, answers });
  members.push(made);
  return made;
}

function goal({ serving }: Member): Goal {
  return { port: serving.port, ca: authority.certPem };
}

/** One after the other: the primary hands out connections in turn. */
async function visits(to: Goal): Promise<{ who: string[]; stories: unknown[] }> {
  const all: Visit[] = [];
  for (let index = 0; index < VISITS; index += 1) all.push(await visit(to));
  return { who: [...new Set(all.map(({ who }) => who))].sort(), stories: all.map(({ story }) => story) };
}

/** Two serve; one is killed; the other serves. */
async function lossOfOne(answers: Answers) {
  const [one, two] = await Promise.all([member(answers), member(answers)]);
  assert.equal(one.serving.port, two.serving.port);
  const both = await visits(goal(one));
  const names = [one, two].map(({ worker }) => `0/${worker.process.pid}`);
  assert.deepEqual(both.who, [...names].sort(), 'both serve');
  const operations = [one, two].map(({ serving }) => serving.operations);
  await kill(one);
  const rest = await visits(goal(two));
  assert.deepEqual(rest.who, [names[1]], 'the other one goes on');
  await kill(two);
  return { stories: [both.stories, rest.stories], operations: [...operations, two.serving.operations] };
}

describe('two processes of a cluster on one port', () => {
  for (const answers of ['here', 'parent'] as const) {
    const where = answers === 'here' ? 'each with its PrivateKey' : 'the key in the primary';
    it(`both serve, and one goes on when the other is killed: ${where}`, async () => {
      const native = await lossOfOne('native');
      const keyless = await lossOfOne(answers);
      assert.deepEqual(keyless.stories, native.stories);
      assert.deepEqual(keyless.operations, [VISITS / 2, VISITS / 2, VISITS / 2 + VISITS]);
    });
  }

  it('lose only the handshakes of the one that is killed', async () => {
    const ending = await member('never');
    const closed = gone(nodeTls.connect(towards(goal(ending))));
    await once(ending.serving, 'asked');
    const other = await member('here');
    await kill(ending);
    await closed;
    await visit(goal(other));
    assert.equal(other.serving.operations, 1);
  });
});
