/** What an app sees of tls, looked at closely: natively, under isolate, and under register with a real key, the same. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeAuthority } from '../helpers/certificates.ts';
import { makePfx } from '../helpers/pfx.ts';
import { type Outcome, start } from '../helpers/programs.ts';
import { MAIN } from '../helpers/serve-process.ts';

const WAYS = ['isolate', 'register'] as const;
const moduleOf = (way: (typeof WAYS)[number]) => new URL(`../../lib/wrap/${way}.js`, import.meta.url).href;

let folder: string;
let env: NodeJS.ProcessEnv;

before(async () => {
  const authority = await makeAuthority();
  const [site, edge] = await Promise.all([
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'p256', usage: 'client' }),
  ]);
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-unseen-'));
  writeFileSync(join(folder, 'ca.crt'), authority.certPem);
  writeFileSync(join(folder, 'edge.crt'), edge.certPem);
  writeFileSync(join(folder, 'edge.key'), edge.keyPem, { mode: 0o600 });
  const config = { version: 1, servers: ['127.0.0.1:1'], cert: 'edge.crt', key: 'edge.key', ca: 'ca.crt' };
  writeFileSync(join(folder, 'keyless-tls.json'), JSON.stringify(config));
  const pfx = makePfx(site, 'x').toString('base64');
  env = { ...process.env, CERT: site.certPem, KEY: site.keyPem, CA: authority.certPem, PFX: pfx };
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** `cert` and `key` of a site, and `visit(server, look)`: `look` is given each socket of one connection. */
const PRELUDE = `
  const tls = require('node:tls');
  const { CERT: cert, KEY: key, CA: ca } = process.env;
  const say = (...values) => console.log(require('node:util').inspect(values, { depth: 4 }));
  const visit = (options, look) => {
    const server = tls.createServer({ cert, key, ...options }, (socket) => { look('server', socket); socket.end('x'); });
    server.listen(0, '127.0.0.1', () => {
      const client = tls.connect({ port: server.address().port, ca, servername: 'localhost', cert, key });
      client.on('secureConnect', () => look('client', client)).on('close', () => server.close()).resume();
    });
  };`;

function run(source: string, execArgv: readonly string[] = []): Promise<Outcome> {
  return start(process.execPath, [...execArgv, '-e', source], { cwd: folder, env, input: '' }).ended;
}

function sameAsNatively(
  name: string,
  source: string,
  execArgv: readonly string[] = [],
  ways: readonly (typeof WAYS)[number][] = WAYS,
): void {
  test(name, async () => {
    const native = await run(source, execArgv);
    assert.equal(native.code, 0, native.stderr);
    assert.notEqual(native.stdout, '', 'the program tells something');
    for (const way of ways)
      assert.deepEqual(await run(source, ['--import', moduleOf(way), ...execArgv]), native, way);
  });
}

sameAsNatively(
  'names, lengths and attributes of the functions of tls, https and http2',
  `${PRELUDE}
  const about = (name, object) => {
    for (const [property, { value, ...attributes }] of Object.entries(Object.getOwnPropertyDescriptors(object)))
      say(name, property, typeof value, value?.name, value?.length, attributes.enumerable, attributes.writable);
  };
  for (const name of ['tls', 'https', 'http2']) about(name, require(name));
  for (const type of [tls.TLSSocket, tls.Server, tls.SecureContext]) about(type.name, type.prototype);`,
);

sameAsNatively(
  'getters of the options run as often, and a Proxy is asked as often',
  `${PRELUDE}
  let asked = 0;
  const telling = { get key() { asked += 1; return key; }, get cert() { return cert; } };
  tls.createSecureContext(telling);
  say(asked);
  tls.createServer(telling);
  say(asked);
  tls.createSecureContext(Object.create(telling));
  say(asked);
  tls.createSecureContext(new Proxy({ cert, key }, { get(target, name) { asked += name === 'key'; return target[name]; } }));
  say(asked);
  tls.createSecureContext(Object.freeze(Object.create({ cert, key })));`,
);

sameAsNatively(
  'getters of a pfx, a passphrase and an entry of keys run as often, and tell once where they tell once',
  `${PRELUDE}
  const counts = {};
  const telling = (name, values) => {
    const made = {};
    for (const [option, value] of Object.entries(values)) {
      const get = () => {
        counts[name + option] = (counts[name + option] ?? 0) + 1;
        return value;
      };
      Object.defineProperty(made, option, { get, enumerable: true });
    }
    return made;
  };
  const { createPrivateKey } = require('node:crypto');
  const pem = createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
  const pfx = Buffer.from(process.env.PFX, 'base64');
  tls.createSecureContext(telling('pfx.', { pfx, passphrase: 'x' }));
  tls.createSecureContext({ pfx: [telling('pfx entry.', { buf: pfx, passphrase: 'x' })] });
  tls.createSecureContext(telling('key.', { cert, key: pem, passphrase: 'x' }));
  tls.createSecureContext({ cert, key: [telling('entry.', { pem, passphrase: 'x' })] });
  const target = { cert, key };
  tls.createSecureContext(new Proxy(target, { get: (_, name) => (counts[name] = (counts[name] ?? 0) + 1) && target[name] }));
  const once = ['x'];
  visit({ key: [], SNICallback: (_, done) => done(null, tls.createSecureContext({ cert, key: pem, get passphrase() { return once.pop(); } })) },
    (side, socket) => say(side, socket.authorized));
  say(Object.entries(counts).filter(([name]) => /pfx|key|passphrase|cert|pem|buf/.test(name)).sort());`,
  [],
  ['isolate'],
);

sameAsNatively(
  'the properties of sockets and of their handles',
  `${PRELUDE}
  visit({}, (side, socket) => {
    say(side, Object.keys(socket), Object.keys(socket._handle));
    for (const name of Object.keys(socket._handle)) say(side, name, typeof socket._handle[name], socket._handle[name]?.name);
  });`,
);

sameAsNatively(
  'the sessions of a server that stores them',
  `${PRELUDE}
  visit({ maxVersion: 'TLSv1.2', SNICallback: (name, done) => done(null, tls.createSecureContext({ cert, key })) }, (side, socket) => {
    say(side, Object.keys(socket._handle));
  });`,
);

/** From Node 25 on, loading them prints a warning, so that nobody can stand in them unseen (docs/isolate.md). */
if (Number.parseInt(process.versions.node, 10) < 25) {
  sameAsNatively(
    'the modules behind node:tls that old code loads',
    `${PRELUDE}
  const [common, wrap] = [require('_tls_common'), require('_tls_wrap')];
  say(common.createSecureContext === tls.createSecureContext, common.SecureContext === tls.SecureContext);
  say(wrap.TLSSocket === tls.TLSSocket, Object.keys(common), Object.keys(wrap));`,
  );
}

sameAsNatively(
  'parts of Node that are replaced before node:tls is loaded',
  `
  const { internalBinding } = require('internal/test/binding');
  const binding = internalBinding('crypto');
  const { SecureContext } = binding;
  binding.SecureContext = function () { console.log('replaced'); return new SecureContext(); };
  require('node:https').createServer({ cert: process.env.CERT, key: process.env.KEY });
  import('node:tls').then((tls) => console.log(tls.createSecureContext === tls.default.createSecureContext));`,
  ['--expose-internals', '--no-warnings'],
  ['isolate'],
);

sameAsNatively(
  'a certificate that is the first to load node:tls',
  `
  new (require('node:crypto').X509Certificate)(process.env.CERT).toLegacyObject();
  for (const [name, value] of Object.entries(require('node:tls'))) console.log(name, typeof value);`,
  ['--expose-internals', '--no-warnings'],
  ['isolate'],
);

sameAsNatively(
  'a handshake while a test has put timers that stand still in the place of Node’s',
  `${PRELUDE}
  require('node:test').mock.timers.enable();
  visit({ SNICallback: (name, done) => done(null, tls.createSecureContext({ cert, key })) }, (side, socket) => say(side));`,
  ['--no-warnings'],
);

sameAsNatively(
  'an app ends by itself after a key that is not taken, and after one that is',
  `${PRELUDE}
  try { tls.createSecureContext({ cert, key: 'none' }); } catch ({ code }) { say(code); }
  tls.createSecureContext({ cert, key });
  process.on('beforeExit', (code) => say('beforeExit', code)).on('exit', (code) => say('exit', code));`,
);

test('run loads an app as Node does: its stack is the same, and so are its classes', async () => {
  const app = join(folder, 'app.cjs');
  writeFileSync(
    app,
    `console.log(new Error('here').stack, typeof require.main, process.execArgv);
    console.log(require('node:util').inspect(require('node:worker_threads').Worker, { showHidden: true, showProxy: true }));`,
  );
  const options = { cwd: folder, env };
  const native = await start(process.execPath, [app], options).ended;
  assert.match(native.stdout, /Error: here/);
  for (const words of [['--isolate'], []]) {
    const args = [MAIN, 'run', ...words, '--', process.execPath, app];
    assert.deepEqual(await start(process.execPath, args, options).ended, native, words.join());
  }
});

test('with --expose-internals the keys move all the same', async () => {
  const source = `${PRELUDE} tls.createSecureContext({ cert, key });
  const { readdirSync, readFileSync } = require('node:fs');
  const parentOf = (pid) => { try { return readFileSync('/proc/' + pid + '/stat', 'utf8').split(') ').at(-1).split(' ')[1]; } catch {} };
  say(readdirSync('/proc').filter((name) => parentOf(name) === String(process.pid)).length);`;
  const { stdout } = await run(source, ['--import', moduleOf('isolate'), '--expose-internals']);
  assert.equal(stdout, '[ 2 ]\n');
});

sameAsNatively(
  'code that threads evaluate: strict or not, behind a first line of its own, ES modules, in classes of the app, and what is none',
  `const { Worker } = require('node:worker_threads');
  const { once } = require('node:events');
  const CODES = [
    'console.log(this === globalThis, (function () { return this === globalThis; })(), module.id, __filename)',
    "'use strict'; console.log((function () { return this; })(), new Error('here').stack.split('\\\\n')[2])",
    '#!/usr/bin/env node\\n/* a * b *' + '/ // c\\n"use strict"; console.log((function () { return this; })())',
    "\\n throw new Error('of the second line')",
    "import { isMainThread } from 'node:worker_threads'; console.log(isMainThread, typeof require)",
    'a b', 7,
  ];
  class Derived extends Worker {}
  (async () => {
    for (const code of CODES) {
      try {
        const thread = new Derived(code, { eval: true, execArgv: undefined });
        thread.on('error', ({ message, stack }) => console.log(message, stack?.match(/worker eval.*/)?.[0]));
        await once(thread, 'exit');
        console.log(thread instanceof Worker, thread.constructor.name);
      } catch ({ message }) { console.log(message); }
    }
    console.log(Worker.name, Worker.length, Worker.prototype.constructor === Worker);
  })();`,
);
