/**
 * A browser loads the demo's page from keyless servers, and shows the padlock. On its command line it has no option for
 * an authority, but one for public keys.
 */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { demoPage } from '../../lib/cli/demo-page.ts';
import { Browser } from '../helpers/browser.ts';
import { type Outcome, run } from '../helpers/programs.ts';
import { Edge, SCHEMES, type Site, VERSIONS } from './edge.ts';

let edge: Edge;
let folder: string;
/** `HTTP version path`, as the browser asked. */
let asked = new Set<string>();

before(async () => {
  edge = await Edge.start();
  folder = await mkdtemp(join(tmpdir(), 'keyless-tls-chromium-'));
});
after(async () => {
  await rm(folder, { recursive: true });
  await edge.end();
});

const page = demoPage();
const listener: RequestListener = (request, response) => {
  asked.add(`${request.httpVersion} ${request.url}`);
  page(request, response);
};

function pinOf(site: Site): string {
  const spki = new X509Certificate(edge.sites[site].certPem).publicKey.export({
    type: 'spki',
    format: 'der',
  });
  return createHash('sha256').update(spki).digest('base64');
}

/** @param pin of the public key to trust */
async function chromium(port: number, pin: string, ...values: string[]): Promise<Outcome> {
  asked = new Set();
  const profile = await mkdtemp(join(folder, 'profile-'));
  const base = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--no-proxy-server',
    `--user-data-dir=${profile}`,
  ];
  const trust = `--ignore-certificate-errors-spki-list=${pin}`;
  return run('chromium', [...base, trust, ...values, `https://localhost:${port}/`], {
    env: { ...process.env, HOME: profile },
  });
}

const PAGE = ['/', '/demo.css', '/demo.js'];

function loaded(version: string, dom: string): void {
  assert.match(dom, /<h1>This page came over TLS from a server without a private key<\/h1>/);
  for (const path of PAGE) assert.ok(asked.has(`${version} ${path}`), `${path}: ${[...asked]}`);
}

/** Browsers open several connections: each is an operation, of the one kind. */
function operations(): string[] {
  return [...new Set(edge.take())];
}

for (const site of ['p256', 'rsa'] as const) {
  for (const version of VERSIONS) {
    test(`chromium loads the page over HTTPS, ${version}, ${site}`, async () => {
      const port = await edge.serve(site, { minVersion: version, maxVersion: version }, listener);
      const { code, stdout } = await chromium(port, pinOf(site), '--dump-dom');
      assert.equal(code, 0);
      loaded('1.1', stdout);
      assert.deepEqual(operations(), [SCHEMES[site]]);
    });
  }

  test(`chromium loads the page over HTTP/2, ${site}`, async () => {
    const { stdout } = await chromium(await edge.serveHttp2(site, listener), pinOf(site), '--dump-dom');
    loaded('2.0', stdout);
    assert.deepEqual(operations(), [SCHEMES[site]]);
  });
}

test('chromium shows the padlock of the page over HTTP/2: TLS 1.3, the certificate', async () => {
  const browser = new Browser(edge.authority.certPem);
  try {
    for (const [site, scheme] of [
      ['p256', 0x0403], // ecdsa_secp256r1_sha256
      ['rsa', 0x0804], // rsa_pss_rsae_sha256
    ] as const) {
      const { text, padlock } = await browser.open(
        `https://localhost:${await edge.serveHttp2(site, listener)}/`,
      );
      assert.match(text, /from a server without a private key/);
      const { subject, issuer } = new X509Certificate(edge.sites[site].certPem);
      assert.deepEqual(
        { state: padlock.state, http: padlock.http, tls: padlock.tls, scheme: padlock.scheme },
        { state: 'secure', http: 'h2', tls: 'TLS 1.3', scheme },
      );
      assert.equal(`CN=${padlock.subject}`, subject);
      assert.equal(`CN=${padlock.issuer}`, issuer);
    }
  } finally {
    await browser.close();
  }
});

test('chromium draws the page', async () => {
  const picture = join(folder, 'page.png');
  const port = await edge.serve('p256', {}, listener);
  await chromium(port, pinOf('p256'), `--screenshot=${picture}`, '--window-size=800,600', '--timeout=5000');
  const png = await readFile(picture);
  assert.deepEqual(png.subarray(0, 8), Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'));
  assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [800, 600]);
  assert.ok(png.length > 10_000, `an empty page has fewer than ${png.length} bytes`);
});

test('chromium does not show the page of a key that it was not told to trust', async () => {
  const port = await edge.serve('p256', {}, listener);
  const { stdout } = await chromium(port, pinOf('rsa'), '--dump-dom');
  assert.doesNotMatch(stdout, /server without a private key/);
  assert.deepEqual([...asked], []);
});
