import assert from 'node:assert/strict';
import { homedir, tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { ROOT, readSource, SOURCE_FILES } from './source-tree.ts';

const PUBLIC_REGISTRY = 'registry.npmjs.org';

/** A label is not a secret, and documents may show one: a label with base64 behind it is a key. */
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+(?:[A-Za-z-]+: .*\s+)*[A-Za-z0-9+/=]{20}/;

/** Folders every machine has: to name them tells nothing. */
const EVERYWHERE = /^\/(?:app|bin|code|etc|home|mnt|opt|root|run|src|srv|tmp|usr|var)?$/;

/** Where this checkout, its neighbours and its user live. */
function placesOf(root: string, home = homedir()): string[] {
  const checkout = root.replace(/\/$/, '');
  return [checkout, dirname(checkout), home].filter((place) => !EVERYWHERE.test(place) && place !== tmpdir());
}

function mentionsPlace(text: string, place: string): boolean {
  const escaped = place.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<![\\w.~/-])${escaped}/`).test(text);
}

/** The host npm is told to use, where that is not the public registry; `undefined`: it is. */
function privateRegistryHost(configured = process.env.npm_config_registry): string | undefined {
  const host = configured === undefined ? PUBLIC_REGISTRY : new URL(configured).host;
  return host === PUBLIC_REGISTRY ? undefined : host;
}

const filesWith = (found: (text: string) => boolean) =>
  SOURCE_FILES.filter((path) => found(readSource(path)));

test('no file holds a private key', () => {
  assert.ok(SOURCE_FILES.length > 150, `${SOURCE_FILES.length} files`);
  assert.deepEqual(
    filesWith((text) => PRIVATE_KEY.test(text)),
    [],
  );
});

test('no file tells where it was written', () => {
  const places = placesOf(ROOT);
  assert.deepEqual(
    filesWith((text) => places.some((place) => mentionsPlace(text, place))),
    [],
  );
});

test('no file names a registry', () => {
  const host = privateRegistryHost();
  const hosts = [PUBLIC_REGISTRY, ...(host === undefined ? [] : [host])];
  const lock = 'package-lock.json';
  const own = 'test/unit/house/leaks.test.ts';
  assert.deepEqual(
    filesWith((text) => hosts.some((name) => text.includes(name))).filter(
      (path) => path !== lock && path !== own,
    ),
    [],
  );
});

/** Without `resolved`, npm takes each package from whichever registry is configured and checks its integrity. */
test('the lock file names no registry but the public one, and has the integrity of every package', () => {
  const { packages } = JSON.parse(readSource('package-lock.json')) as {
    packages: Record<string, { resolved?: string; integrity?: string }>;
  };
  const installed = Object.entries(packages).filter(([path]) => path !== '');
  assert.ok(installed.length > 0);
  for (const [path, { resolved, integrity }] of installed) {
    assert.ok(resolved === undefined || new URL(resolved).host === PUBLIC_REGISTRY, `${path}: ${resolved}`);
    assert.match(integrity ?? '', /^sha512-/, path);
  }
});

test('these checks find what they look for', () => {
  const label = (kind: string) => `-----BEGIN ${kind}PRIVATE ${'KEY'}-----`;
  assert.match(`${label('')}\n${'M'.repeat(64)}\n`, PRIVATE_KEY);
  assert.match(`${label('EC ')}\nProc-Type: 4,ENCRYPTED\n\n${'M'.repeat(64)}\n`, PRIVATE_KEY);
  assert.doesNotMatch(`${label('RSA ')}\n…\n`, PRIVATE_KEY);
  assert.deepEqual(placesOf('/srv/builds/tls/', '/home/me'), ['/srv/builds/tls', '/srv/builds', '/home/me']);
  assert.deepEqual(placesOf('/app/', '/root'), []);
  assert.ok(mentionsPlace('see "/srv/builds/other/a.ts"', '/srv/builds'));
  assert.ok(!mentionsPlace('https://example.com/srv/builds/a', '/srv/builds'));
  assert.ok(!mentionsPlace('/srv/buildsystem/a', '/srv/builds'));
  assert.equal(privateRegistryHost('https://npm.example.com/'), 'npm.example.com');
  assert.equal(privateRegistryHost(`https://${PUBLIC_REGISTRY}/`), undefined);
});
