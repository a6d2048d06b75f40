/**
 * When Node calls what lib/engine stands in front of, and what it does when lib/engine calls it; see
 * node-internals.test.ts. Everything here is native Node, and a failure names the file that relied on it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { before, describe, it } from 'node:test';
import tls, { createSecureContext, type TLSSocket } from 'node:tls';
import { internals, type TlsHandle } from '../../lib/engine/tls-handle.ts';
import {
  type Begun,
  connection,
  type Identity,
  makeIdentity,
  watchedServer,
} from '../helpers/node-sockets.ts';
import { gone } from '../helpers/visits.ts';

let identity: Identity;

before(async () => {
  identity = await makeIdentity();
});

const handleOf = (socket: TLSSocket): TlsHandle => internals(socket)._handle as TlsHandle;

/** Does something with the server's end of a connection when it begins. */
function atServer(work: (handle: TlsHandle) => void): (begun: Begun) => void {
  return ({ handle, role }) => {
    if (role === 'server') work(handle);
  };
}

/** Makes certCbDone wait for a turn. @returns what was chosen when Node called it */
function watchChoice(): { readonly chosen: unknown[]; readonly begun: (begun: Begun) => void } {
  const chosen: unknown[] = [];
  const begun = atServer((handle) => {
    const { certCbDone } = handle;
    handle.certCbDone = () => {
      chosen.push(handle.sni_context ?? 'none');
      setImmediate(() => certCbDone.call(handle));
    };
  });
  return { chosen, begun };
}

describe('handle.certCbDone', () => {
  it('is called as a property when an SNICallback has chosen, with the choice in sni_context, and may wait', async () => {
    const context = createSecureContext({ cert: identity.certPem, key: identity.keyPem });
    const { chosen, begun } = watchChoice();
    await connection(identity, { server: { SNICallback: (_name, done) => done(null, context) }, begun });
    assert.equal(chosen.length, 1, 'lib/engine/hook.ts, armWhenChosen: certCbDone is not called once');
    assert.equal(chosen[0], context.context, 'lib/engine/hook.ts, armWhenChosen: sni_context');
  });

  it('is called without a choice for OCSP listeners', async () => {
    const { chosen, begun } = watchChoice();
    await connection(identity, {
      client: { requestOCSP: true },
      prepare: (server) =>
        server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, Buffer.of(1))),
      begun,
    });
    assert.deepEqual(chosen, ['none'], 'lib/engine/hook.ts, armWhenChosen');
  });
});

describe('handle.ALPNCallback', () => {
  it("takes the client's list and returns an offset in it, and its native half may be enabled again", async () => {
    let answer: string | undefined = 'bb';
    await connection(identity, {
      server: { ALPNCallback: () => answer },
      client: { ALPNProtocols: ['bb'] },
      open: async (server) => {
        const handle = handleOf(server);
        const offer = Buffer.from('\x01a\x02bb');
        assert.equal(
          handle.ALPNCallback?.(offer),
          2,
          'lib/engine/socket-handshake.ts, decideAlpn: the offset',
        );
        answer = undefined;
        assert.equal(handle.ALPNCallback?.(offer), undefined, 'lib/engine/socket-handshake.ts: no choice');
        handle.enableALPNCb();
      },
    });
  });
});

/** TLS 1.2, whose server waits until the session is stored. */
const WITH_SESSION = { maxVersion: 'TLSv1.2', secureOptions: 1 << 14 } as const;

describe('handle.newSessionDone', () => {
  it('cycles the TLSWrap: without it a server that waits for its user sends nothing', {
    timeout: 120_000,
  }, async () => {
    const order: string[] = [];
    let handle: TlsHandle | undefined;
    let stored = () => {};
    await connection(identity, {
      server: WITH_SESSION,
      begun: ({ handle: begun, socket, role }) => {
        if (role === 'server') handle = begun;
        else {
          socket.once('secureConnect', () => {
            order.push("the client's end");
            stored();
          });
        }
      },
      prepare: (server) =>
        server.on('newSession', (_id, _data, done) => {
          order.push('newSession');
          stored = done;
          setImmediate(() => {
            order.push('woken');
            handle?.newSessionDone();
          });
        }),
    });
    assert.deepEqual(
      order,
      ['newSession', 'woken', "the client's end"],
      'lib/engine/socket-handshake.ts, wake',
    );
  });

  it('does no more than that: an open connection does not notice, at either end', async () => {
    await connection(identity, {
      open: async (server, client) => {
        for (const socket of [server, client]) handleOf(socket).newSessionDone();
        server.on('data', (data) => server.write(data));
        client.write('ping');
        handleOf(client).newSessionDone();
        assert.equal(String((await once(client, 'data'))[0]), 'ping', 'lib/engine/socket-handshake.ts, wake');
      },
    });
  });

  it('is what Node calls, as a property, when the user has stored the session; onnewsession is before that', async () => {
    const order: string[] = [];
    await connection(identity, {
      server: WITH_SESSION,
      prepare: (server) => server.on('newSession', (_id, _data, done) => setImmediate(done)),
      begun: atServer((handle) => {
        const { onnewsession, newSessionDone } = handle;
        handle.onnewsession = (...values) => {
          order.push('onnewsession');
          return onnewsession.apply(handle, values);
        };
        handle.newSessionDone = () => {
          order.push('newSessionDone');
          newSessionDone.call(handle);
        };
      }),
    });
    assert.deepEqual(
      order,
      ['onnewsession', 'newSessionDone'],
      'lib/engine/socket-handshake.ts, watchNewSession',
    );
  });
});

describe('handle.onerror', () => {
  it('is called as a property with the Error, which may be replaced on its way to the user', async () => {
    const { server, port, end } = await watchedServer(identity, ({ handle }) => {
      const { onerror } = handle;
      handle.onerror = (error) => onerror.call(handle, new Error(`ours: ${error instanceof Error}`));
    });
    const failed = once(server, 'tlsClientError');
    connectTcp(port, '127.0.0.1')
      .on('error', () => {})
      .end('this is no TLS at all');
    const [error] = await failed;
    assert.equal(String(error.message), 'ours: true', 'lib/engine/socket-handshake.ts, onerror');
    await end();
  });
});

/** Ways of a connection to end; each ends both of its ends. */
const ENDS: Readonly<Record<string, (port: number) => TLSSocket>> = {
  'an orderly end': (port) =>
    tls.connect({ port, host: '127.0.0.1', ca: identity.ca, servername: 'localhost' }),
  'a client that is destroyed in its handshake': (port) => {
    const client = tls.connect({ port, host: '127.0.0.1', ca: identity.ca });
    return client.once('connect', () => client.destroy());
  },
  'a client that does not trust': (port) => tls.connect({ port, host: '127.0.0.1' }),
  'no common version': (port) => tls.connect({ port, host: '127.0.0.1', minVersion: 'TLSv1.3' }),
};

/** Waits for what may never come; the assertion after it says what is missing. */
async function inTime(awaited: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise((resolve) => {
    timer = setTimeout(resolve, 30_000);
  });
  await Promise.race([awaited, enough]);
  clearTimeout(timer);
}

describe('handle.destroySSL', () => {
  for (const [name, connect] of Object.entries(ENDS)) {
    it(`is called as a property, on every end there is, after ${name}`, async () => {
      const alive = new Set<string>();
      const destroyed: Promise<void>[] = [];
      const { port, end } = await watchedServer(
        identity,
        ({ handle, role }) => {
          const { destroySSL } = handle;
          alive.add(role);
          destroyed.push(
            new Promise((resolve) => {
              handle.destroySSL = () => {
                alive.delete(role);
                destroySSL.call(handle);
                resolve();
              };
            }),
          );
        },
        name === 'no common version' ? { maxVersion: 'TLSv1.2' } : {},
      );
      await gone(connect(port));
      await end();
      await inTime(Promise.all(destroyed));
      assert.deepEqual([...alive], [], 'lib/engine/socket-handshake.ts: without destroySSL handshakes leak');
    });
  }
});

describe('handle.close', () => {
  it("is called as a property on a client's last handle, and its callback before the socket's close", async () => {
    const order: string[] = [];
    const { port, end } = await watchedServer(identity, ({ handle, role }) => {
      const native = handle.close;
      if (role === 'server') return;
      handle.close = (callback) =>
        native.call(handle, () => {
          order.push('closed');
          callback?.();
        });
    });
    const client = tls.connect({ port, host: '127.0.0.1', ca: identity.ca, servername: 'localhost' });
    await gone(client.on('close', () => order.push('close')));
    await end();
    assert.deepEqual(order, ['closed', 'close'], 'lib/engine/socket-handshake.ts, closeClient');
  });
});
