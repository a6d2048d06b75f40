/** The native edge is Node.js and nothing else, whatever the environment says; what remains of it is in the report. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import {
  environmentForChildren,
  givenInWords,
  thisEnvironment,
  withheldWarning,
} from '../../../../lib/cli/bench/environment.ts';
import { page } from '../../../../lib/cli/bench/page.ts';
import { childrenOf } from '../../../../lib/cli/bench/process-figures.ts';
import { textReport } from '../../../../lib/cli/bench/report.ts';
import { askAll } from '../../../../lib/cli/bench/run.ts';
import { Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { reportWith } from '../../../helpers/bench.ts';

const SCALE = { quick: true, rounds: 1, roundMs: 50, warmUpMs: 50 };
const SET = { NODE_OPTIONS: '--no-warnings', KEYLESS_TLS_CONFIG: '/nowhere', UV_THREADPOOL_SIZE: '3' };

let workshop: Workshop;
before(async () => {
  Object.assign(process.env, SET);
  workshop = await Workshop.open(SCALE);
});
after(() => workshop.close());

const environmentOf = (pid: number) => readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');

test('no process of the benchmark has options of Node.js from outside, and all have what is for every program', async () => {
  const link = await workshop.startLink();
  const edges = [
    await workshop.edge('native'),
    await workshop.edge('remote'),
    await workshop.edge('isolated'),
  ];
  const isolated = childrenOf(edges[2]!.pid);
  assert.ok(isolated.length > 0);
  const server = workshop.keyServer.child.pid!;
  for (const pid of [
    ...[server, link.pid, ...edges.slice(0, 2).map((edge) => edge.pid)],
    ...workshop.clients.members.map((each) => each.pid),
  ]) {
    const all = environmentOf(pid);
    assert.ok(!all.some((each) => /^(NODE_OPTIONS|KEYLESS_TLS_)/.test(each)), String(pid));
    assert.ok(all.includes('UV_THREADPOOL_SIZE=3'), String(pid));
  }
  const printed = await workshop.run('clients', process.execPath, ['-p', 'process.env.NODE_OPTIONS'], 10_000);
  assert.equal(printed, 'undefined\n');
});

test('a native edge has no code of this library, a remote one has', async () => {
  const hasAddon = (pid: number) =>
    /keyless_tls[^/]*\.node$/m.test(readFileSync(`/proc/${pid}/maps`, 'utf8'));
  const pids = [(await workshop.edge('native')).pid, (await workshop.edge('remote')).pid];
  assert.deepEqual(pids.map(hasAddon), [false, true]);
});

test('what changes what is measured is in JSON, on the page and in the terminal; what was withheld is, too', async () => {
  const { settings, warnings } = await askAll([], SCALE, { write: () => undefined });
  assert.equal(settings.environment.given.UV_THREADPOOL_SIZE, '3');
  for (const name of ['NODE_OPTIONS', 'KEYLESS_TLS_CONFIG']) {
    assert.ok(settings.environment.withheld.includes(name));
    assert.ok(warnings.some((warning) => warning.includes(name)));
  }
  const given = { OPENSSL_ia32cap: ':~0x200000', UV_THREADPOOL_SIZE: '1' };
  const report = reportWith([], {}, { given, withheld: [] });
  for (const text of [textReport(report), page(report)])
    assert.match(text, /, OPENSSL_ia32cap=:~0x200000, UV_THREADPOOL_SIZE=1/);
});

test('values of what is withheld are told nobody, and nothing is told of what does not matter', () => {
  const all = { PATH: '/bin', NODE_OPTIONS: 'secret', LD_PRELOAD: 'x.so', HOME: '/' };
  assert.deepEqual(environmentForChildren(all), { PATH: '/bin', LD_PRELOAD: 'x.so', HOME: '/' });
  const told = thisEnvironment(all);
  assert.deepEqual(told, { given: { LD_PRELOAD: 'x.so' }, withheld: ['NODE_OPTIONS'] });
  assert.equal(
    withheldWarning(told),
    'NODE_OPTIONS is set, and the processes that are measured were started without.',
  );
  const nothing = thisEnvironment({ PATH: '/bin' });
  assert.deepEqual([withheldWarning(nothing), givenInWords(nothing)], [undefined, '']);
});

test('tokens in variables that only begin as those that are told are told nobody', async () => {
  const secrets = {
    ...{ UV_PUBLISH_TOKEN: 'secret1', UV_INDEX_URL: 'https://u:secret2@x/', LD_ACCESS_TOKEN: 'secret3' },
    ...{
      LD_SDK_KEY: 'secret4',
      OPENSSL_PASSPHRASE: 'secret5',
      MALLOC_TOKEN: 'secret6',
      GLIBC_KEY: 'secret7',
    },
    ...{ ASAN_KEY: 'secret8', XLD_PRELOAD: 'secret9', ld_preload: 'secret10', NODE_AUTH_TOKEN: 'secret11' },
  };
  Object.assign(process.env, secrets);
  try {
    const report = await askAll([], SCALE, { write: () => undefined });
    for (const text of [textReport(report), page(report), JSON.stringify(report)])
      assert.doesNotMatch(text, /secret/);
  } finally {
    for (const name of Object.keys(secrets)) delete process.env[name];
  }
});

test('what is told is text, and no more: no escape sequence, no line of its own, none of any length', () => {
  const { given, withheld } = thisEnvironment({
    ...{ OPENSSL_CONF: '\u001b[2J\n! all targets met\u009b\u202e', LD_PRELOAD: 'x'.repeat(300) },
    'NODE_\u001b[2J\n': '',
  });
  assert.equal(given.OPENSSL_CONF, '\\x1b[2J\\x0a! all targets met\\xc2\\x9b\\xe2\\x80\\xae');
  assert.equal(given.LD_PRELOAD, `${'x'.repeat(255)}…`);
  assert.deepEqual(withheld, ['NODE_\\x1b[2J\\x0a']);
});
