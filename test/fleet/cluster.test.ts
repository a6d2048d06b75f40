/** The workers of a real cluster (examples/cluster.ts), one of which is killed under load. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Fleet, makeFleet } from '../helpers/fleet.ts';
import { comeBack, type Return, type Returned } from '../helpers/returning-client.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/cluster.js', import.meta.url));
const REQUEST = 'GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n';
const WORKERS = 3;
const CLIENTS = 6;
const VISITS = 30;
/** Node's primary keeps a connection that it was handing to the worker at that moment, and nobody serves it. */
const PATIENCE_MS = 3000;

let fleet: Fleet;
let primary: ChildProcess;
let goal: Return;
const pids = new Set<number>();
let onListening: () => void = () => undefined;

before(async () => {
  fleet = await makeFleet(1, 2);
  const [edge] = fleet.certificates;
  writeFileSync(fleet.files.path('site.crt'), fleet.setup.sites.p256!.certPem);
  writeFileSync(fleet.files.path('edge.crt'), edge!.certPem);
  writeFileSync(fleet.files.path('edge.pem'), edge!.keyPem, { mode: 0o600 });
  primary = spawn(process.execPath, [EXAMPLE], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      CERTS: fleet.files.folder,
      KEY_SERVERS: fleet.addresses.join(','),
      PORT: '0',
      WORKERS: String(WORKERS),
    },
  });
  let said = '';
  primary.stdout!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    for (const [, pid, port] of said.matchAll(/^listening pid: (\d+), port: (\d+)\n/gm)) {
      pids.add(Number(pid));
      goal = { port: Number(port), ca: fleet.setup.authority.certPem, version: 'TLSv1.3', say: REQUEST };
    }
    onListening();
  });
  await listening(WORKERS);
});
after(async () => {
  primary.kill('SIGTERM');
  await once(primary, 'close');
  await fleet.close();
});

/** @param workers that have ever listened */
function listening(workers: number): Promise<void> {
  return new Promise((resolve) => {
    onListening = () => {
      if (pids.size >= workers) resolve();
    };
    onListening();
  });
}

const pidOf = ({ heard }: Returned) => Number(/(\d+)\n/.exec(heard.slice(heard.indexOf('\r\n\r\n')))?.[1]);

test('every worker resumes the sessions of every other, and when one is killed under load only its own connections are lost', async () => {
  const first = await Promise.all(Array.from({ length: CLIENTS }, () => comeBack(goal)));
  assert.deepEqual([...new Set(first.map(pidOf))].sort(), [...pids].sort());
  const victim = [...pids][0]!;
  let failures = 0;
  let visits = 0;
  const served = new Set<number>();
  await Promise.all(
    first.map(async ({ session }) => {
      let last = session;
      for (let visit = 0; visit < VISITS; visit += 1) {
        visits += 1;
        if (visits === (CLIENTS * VISITS) / 3) process.kill(victim, 'SIGKILL');
        const back = await comeBack({ ...goal, session: last, patienceMs: PATIENCE_MS }).catch(
          () => undefined,
        );
        if (back === undefined || back.heard === '') {
          failures += 1;
          continue;
        }
        assert.equal(back.reused, true);
        served.add(pidOf(back));
        last = back.session;
      }
    }),
  );
  assert.ok(failures <= CLIENTS, `${failures} lost, of ${CLIENTS} at once`);
  await listening(WORKERS + 1);
  const fresh = [...pids].at(-1)!;
  let session = first.find((each) => pidOf(each) === victim)!.session;
  const seen = new Set<number>();
  for (let visit = 0; visit < WORKERS; visit += 1) {
    const back = await comeBack({ ...goal, session });
    assert.equal(back.reused, true, 'a session of the one that is gone');
    seen.add(pidOf(back));
    session = back.session;
  }
  assert.ok(seen.has(fresh) && !seen.has(victim), 'the one in its place resumes them too');
});
