/** A browser's user looks behind the padlock of an app: natively, under register and under isolate, the same. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { AppFolders, WAYS, type Way } from '../helpers/app-folders.ts';
import { Browser } from '../helpers/browser.ts';

let folders: AppFolders;
let browser: Browser;
before(async () => {
  folders = await AppFolders.make();
  browser = new Browser(folders.setup.authority.certPem);
});
after(async () => {
  await browser.close();
  await folders.end();
});

async function seen(way: Way, app: string): Promise<unknown> {
  const program = folders.run(way, app);
  const [, port] = await program.prints(/listening (\d+)/);
  const page = await browser.open(`https://localhost:${port}/`);
  // The app would wait for the browser, which keeps its connections.
  await program.end('SIGKILL');
  return page;
}

const ECDSA_SECP256R1_SHA256 = 0x0403;

for (const [app, http] of [
  ['fastify.mjs', 'h2'],
  ['express.mjs', 'http/1.1'],
] as const) {
  test(`chromium shows the padlock of ${app} under register and isolate as natively: TLS 1.3, ${http}, the certificate`, async () => {
    const asked = folders.signatures();
    const [natively, registered, isolated] = [
      await seen(WAYS[0]!, app),
      await seen(WAYS[1]!, app),
      await seen(WAYS[2]!, app),
    ];
    assert.deepEqual(registered, natively);
    assert.deepEqual(isolated, natively);
    assert.ok(folders.signatures() > asked, 'the key server was asked');
    const { subject, issuer } = new X509Certificate(folders.setup.sites.p256!.certPem);
    const { padlock, text } = natively as Awaited<ReturnType<Browser['open']>>;
    assert.match(text, /hello/i);
    const { cipher, names, ...rest } = padlock;
    assert.match(cipher, /^AES_|^CHACHA20/);
    assert.ok(names.includes('localhost'));
    assert.deepEqual(rest, {
      state: 'secure',
      http,
      tls: 'TLS 1.3',
      subject: subject.replace('CN=', ''),
      issuer: issuer.replace('CN=', ''),
      scheme: ECDSA_SECP256R1_SHA256,
    });
  });
}
