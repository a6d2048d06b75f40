/** The passphrase of encrypted keys, typed on a terminal (a pseudo terminal of Python's): it opens them, and is not shown. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { MAIN, type ServeFiles, serveFiles } from '../helpers/serve-process.ts';

/** Runs a command on a terminal, types the first argument when it is asked, then ends it when it listens; prints the terminal's text. */
const TERMINAL = `
import os, pty, signal, sys
typed = sys.argv[1].encode().decode('unicode_escape').encode()
pid, fd = pty.fork()
if pid == 0: os.execv(sys.argv[2], sys.argv[2:])
text, asked, listening = b'', False, False
while True:
    try: chunk = os.read(fd, 4096)
    except OSError: break
    if not chunk: break
    text += chunk
    if not asked and b'Passphrase of the keys: ' in text: os.write(fd, typed); asked = True
    if not listening and b'listening' in text: os.kill(pid, signal.SIGTERM); listening = True
sys.stdout.write(text.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

let setup: KeyServerSetup;
let files: ServeFiles;

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
  const cipher = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' } as const;
  const pem = createPrivateKey(setup.sites.p256!.keyPem).export(cipher);
  writeFileSync(files.path('keys/p256.key'), pem, { mode: 0o600 });
});
after(() => files.remove());

async function serveTyping(typed: string): Promise<{ code: number; text: string }> {
  const command = [process.execPath, MAIN, 'serve', ...files.args, '--ask-passphrase'];
  const child = spawn('python3', ['-c', TERMINAL, typed, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, text };
}

test('what is typed opens the keys, mended as on a terminal, and is not shown', async () => {
  for (const typed of ['open sesame\\r', 'open sesamE\\x7fe\\r', 'wrong\\x15open sesame\\n']) {
    const { code, text } = await serveTyping(typed);
    assert.equal(code, 0, text);
    assert.match(text, /key id=[0-9a-f]{40}/);
    assert.doesNotMatch(text, /sesam|wrong/);
  }
});

test('a wrong one, none, and Ctrl-C are told apart, and nothing is served', async () => {
  for (const [typed, says] of [
    ['closed\\r', /the passphrase does not fit/],
    ['\\r', /There is no passphrase: nothing was typed/],
    ['open\\x03', /There is no passphrase: it was ended/],
  ] as const) {
    const { code, text } = await serveTyping(typed);
    assert.equal(code, 2, text);
    assert.match(text, says);
    assert.doesNotMatch(text, /listening|closed|open/);
  }
});
