/**
 * What lib/engine/tls-handle.ts and lib/engine/hook.ts take for granted of Node and Node does not document: what there
 * is and when it is made (what is called, and when: node-callbacks.test.ts). Everything here is native Node: a failure
 * says what a new Node has changed, and which of our files relied on it.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import { before, describe, it } from 'node:test';
import tls, { createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';
import { addon } from '../../lib/engine/addon.ts';
import { internals, type TlsHandle, type TlsSocketInternals } from '../../lib/engine/tls-handle.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { type Begun, connection, type Identity, makeIdentity, watchInit } from '../helpers/node-sockets.ts';

let identity: Identity;

before(async () => {
  // What is made before the addon is loaded is not seen.
  addon();
  identity = await makeIdentity();
});

const ALL_CHOICES: tls.TlsOptions = {
  ALPNCallback: ({ protocols }) => protocols[1],
  SNICallback: (_name, done) => done(null, createSecureContext(contextOptions())),
};

function contextOptions(): SecureContextOptions {
  return { cert: identity.certPem, key: identity.keyPem };
}

/** Every member of TlsHandle: where it lives, and what it is. The compiler sees that none is forgotten. */
const HANDLE_MEMBERS: Readonly<
  Record<keyof TlsHandle, readonly ['native' | 'own', 'function' | 'object' | 'boolean']>
> = {
  destroySSL: ['native', 'function'],
  close: ['native', 'function'],
  newSessionDone: ['native', 'function'],
  certCbDone: ['native', 'function'],
  enableALPNCb: ['native', 'function'],
  getProtocol: ['native', 'function'],
  enablePskCallback: ['native', 'function'],
  readStart: ['native', 'function'],
  readStop: ['native', 'function'],
  reading: ['own', 'boolean'],
  onerror: ['own', 'function'],
  onhandshakedone: ['own', 'function'],
  onnewsession: ['own', 'function'],
  onkeylog: ['own', 'function'],
  onclienthello: ['own', 'function'],
  ALPNCallback: ['own', 'function'],
  sni_context: ['own', 'object'],
  _secureContext: ['own', 'object'],
  _parent: ['own', 'object'],
  _parentWrap: ['own', 'object'],
};

const SOCKET_MEMBERS: Readonly<Record<keyof TlsSocketInternals, string>> = {
  _handle: 'object',
  _tlsOptions: 'object',
  _SNICallback: 'function',
  server: 'object',
};

describe("a TLSSocket's handle", () => {
  it('has every member that lib/engine/tls-handle.ts names', async () => {
    await connection(identity, {
      server: ALL_CHOICES,
      open: async (server) => {
        const handle = internals(server)._handle as TlsHandle;
        for (const [name, [where, type]] of Object.entries(HANDLE_MEMBERS)) {
          const value = handle[name as keyof TlsHandle];
          assert.equal(typeof value, type, `lib/engine/tls-handle.ts needs handle.${name}`);
          const own = Object.hasOwn(handle, name) ? 'own' : 'native';
          assert.equal(own, where, `lib/engine/socket-handshake.ts looks for handle.${name} elsewhere`);
        }
        for (const [name, type] of Object.entries(SOCKET_MEMBERS)) {
          const value = internals(server)[name as keyof TlsSocketInternals];
          assert.equal(typeof value, type, `lib/engine/tls-handle.ts needs socket.${name}`);
        }
      },
    });
  });

  it('has the methods that are stood in front of on its very prototype', async () => {
    const begun: Begun[] = [];
    await connection(identity, { begun: (one) => begun.push(one) });
    assert.equal(begun.length, 2, 'lib/engine/hook.ts: _init once for each end');
    for (const { handle, role } of begun) {
      const prototype = Object.getPrototypeOf(handle) as object;
      for (const name of ['destroySSL', 'close'] as const) {
        assert.ok(Object.hasOwn(prototype, name) || name in prototype, `${role}: ${name} is native`);
      }
      assert.ok(Object.isExtensible(handle), 'lib/engine/socket-handshake.ts puts methods on it');
    }
  });

  it("has Node's wrapper of the user's pskCallback behind a symbol of that name", async () => {
    const wrapper = (handle: TlsHandle) => {
      const symbols = Object.getOwnPropertySymbols(handle);
      return symbols.filter(({ description }) => description === 'onpskexchange').length;
    };
    const begun: number[] = [];
    await connection(identity, {
      server: { pskCallback: () => null } as tls.TlsOptions,
      begun: ({ handle, role }) => {
        if (role === 'server') begun.push(wrapper(handle));
      },
    });
    assert.deepEqual(begun, [1], 'lib/engine/psk-question.ts, exchangeOf');
  });

  it('has its context as the object that createSecureContext made', async () => {
    const secureContext = createSecureContext(contextOptions());
    const socket = new TLSSocket(duplexPair()[0], { isServer: true, secureContext });
    const { _secureContext } = internals(socket)._handle as TlsHandle;
    assert.equal(
      _secureContext?.context,
      secureContext.context,
      'lib/engine/hook.ts: handle._secureContext.context',
    );
    socket.destroy();
  });

  it('knows its handshakeTimeout, in milliseconds', async () => {
    await connection(identity, {
      server: { handshakeTimeout: 12_345 },
      begun: ({ socket, role }) => {
        const { handshakeTimeout } = internals(socket)._tlsOptions;
        assert.equal(
          handshakeTimeout,
          role === 'server' ? 12_345 : undefined,
          `${role}: _tlsOptions.handshakeTimeout`,
        );
      },
    });
  });
});

/** Each way to a TLSSocket; made and let go at once. */
const MAKERS: Readonly<Record<string, () => { destroy(): unknown }>> = {
  'tls.connect': () => tls.connect({ port: 9, host: '127.0.0.1' }),
  'https.request': () => https.request({ port: 9, host: '127.0.0.1' }),
  'http2.connect': () => http2.connect('https://127.0.0.1:9'),
  'new TLSSocket over a Duplex': () => new TLSSocket(duplexPair()[0]),
  'new TLSSocket of a server': () => new TLSSocket(duplexPair()[0], { isServer: true }),
};

describe('TLSSocket.prototype._init', () => {
  for (const [name, make] of Object.entries(MAKERS)) {
    it(`is called by ${name}, with the handle there and its SSL the last one made`, async () => {
      const handles: unknown[] = [];
      let id = 0;
      const undo = watchInit(({ handle }) => {
        handles.push(typeof handle.destroySSL);
        id = addon().attachLast();
      });
      const made = make() as EventEmitter & { destroy(): unknown };
      const ended = new Promise((resolve) => made.on('error', resolve).on('close', resolve));
      // https.Agent connects on the next tick.
      await new Promise((resolve) => setImmediate(resolve));
      undo();
      addon().dispose(id);
      made.destroy();
      await ended;
      assert.deepEqual(
        handles,
        ['function'],
        'lib/engine/hook.ts relies on _init, called once with a handle',
      );
      assert.ok(id > 0, 'native/ssl_slots.h: no SSL was made on this thread before the end of _init');
    });
  }

  it('comes after _wrapHandle, which makes the handle of a socket whose options are known', () => {
    const prototype = TLSSocket.prototype as unknown as { _wrapHandle(...values: unknown[]): unknown };
    const { _wrapHandle } = prototype;
    const seen: unknown[] = [];
    prototype._wrapHandle = function wrapHandle(this: TLSSocket, ...values: unknown[]) {
      seen.push([internals(this)._tlsOptions.isServer, internals(this)._handle]);
      return _wrapHandle.apply(this, values);
    };
    try {
      new TLSSocket(duplexPair()[0], { isServer: true }).destroy();
    } finally {
      prototype._wrapHandle = _wrapHandle;
    }
    assert.deepEqual(seen, [[true, undefined]], 'lib/engine/patches.ts relies on _wrapHandle');
  });

  it('knows by then whether a context is chosen late', async () => {
    const context = createSecureContext(contextOptions());
    const rows: readonly [string, boolean, tls.TlsOptions, ((server: tls.Server) => void)?][] = [
      ['nothing', false, {}],
      ['an SNICallback', true, { SNICallback: (_name, done) => done(null, context) }],
      ['a context by name', true, {}, (server) => server.addContext('localhost', contextOptions())],
    ];
    for (const [what, expected, server, prepare] of rows) {
      const late: boolean[] = [];
      await connection(identity, {
        server,
        prepare: prepare ?? (() => {}),
        begun: ({ socket, role }) => {
          if (role === 'server') late.push(Boolean(internals(socket)._SNICallback));
        },
      });
      assert.deepEqual(late, [expected], `lib/engine/hook.ts, choosesLate: socket._SNICallback with ${what}`);
    }
  });

  it('knows by then the server whose OCSPRequest listeners count', async () => {
    const counts: unknown[] = [];
    await connection(identity, {
      prepare: (server) =>
        server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, Buffer.of(1))),
      client: { requestOCSP: true },
      begun: ({ socket, role }) => {
        if (role === 'server') counts.push(internals(socket).server?.listenerCount('OCSPRequest'));
      },
    });
    assert.deepEqual(counts, [1], 'lib/engine/hook.ts, choosesLate: socket.server');
  });
});

describe('tls.createSecureContext', () => {
  it("is what every one of Node's servers and clients makes its context with, its key untouched", () => {
    const original = tls.createSecureContext;
    const keys: unknown[] = [];
    tls.createSecureContext = (options) => {
      keys.push(options?.key);
      return original({ ...options, key: identity.keyPem });
    };
    const key = { toString: () => 'the key' } as unknown as string;
    const options = { cert: identity.certPem, key };
    const target = { ...options, port: 9, host: '127.0.0.1' };
    const uses: Readonly<Record<string, () => unknown>> = {
      'tls.createServer': () => tls.createServer(options),
      'https.createServer': () => https.createServer(options),
      'http2.createSecureServer': () => http2.createSecureServer(options),
      setSecureContext: () => tls.createServer().setSecureContext(options),
      addContext: () => tls.createServer().addContext('a.test', options),
      'tls.connect': () =>
        tls
          .connect(target)
          .on('error', () => {})
          .destroy(),
      'https.request': () =>
        https
          .request({ ...target, agent: false })
          .on('error', () => {})
          .destroy(),
      'http2.connect': () =>
        http2
          .connect('https://127.0.0.1:9', options)
          .on('error', () => {})
          .destroy(),
      'new TLSSocket': () => new TLSSocket(duplexPair()[0], { isServer: true, ...options }).destroy(),
    };
    try {
      for (const [name, use] of Object.entries(uses)) {
        keys.length = 0;
        use();
        assert.ok(keys.includes(key), `lib/engine/contexts.ts: ${name} goes another way`);
      }
      syncBuiltinESMExports();
      assert.equal(createSecureContext, tls.createSecureContext, 'lib/engine/contexts.ts: a live ESM export');
    } finally {
      tls.createSecureContext = original;
      syncBuiltinESMExports();
    }
  });

  it('makes one SSL_CTX, at once', () => {
    const { publicKey } = new X509Certificate(identity.certPem);
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    addon().beginContext();
    const number = () => addon().useKey(spki, 0, false, true, true);
    assert.equal(number(), -1, 'no context yet');
    createSecureContext({ cert: identity.certPem });
    assert.ok(number() > 0, 'native/ssl_slots.h: SSL_CTX_new was not called in createSecureContext');
  });

  it("is not asked for what https.Agent tells pools apart by: the key's text, or since 22.23.5 and 24.22.3 itself", () => {
    const nameOf = (key: unknown) => new https.Agent().getName({ key: key as string });
    const [key, other] = [{ toString: () => 'the key' }, { toString: () => 'the other' }];
    assert.equal(nameOf(key), nameOf(key), 'lib/engine/sealed-keys.ts: one identity, one pool');
    assert.notEqual(nameOf(key), nameOf(other), 'lib/engine/sealed-keys.ts: toString()');
  });
});
