/**
 * A server on a thread or in a process of its own, made by serving-parent.ts: it finds its
 * {@link ServingPlan} in the environment (messages to a cluster's process are lost until its program listens), says on
 * which port it is, and then every private-key operation it is asked for.
 */
import http2 from 'node:http2';
import https from 'node:https';
import tls, { type Server } from 'node:tls';
import { parentPort, threadId } from 'node:worker_threads';
import * as keylessHttp2 from '../../lib/http2.ts';
import * as keylessHttps from '../../lib/https.ts';
import { localKey, type PrivateKey } from '../../lib/index.ts';
import * as keylessTls from '../../lib/tls.ts';

/** Node's own TLS; a PrivateKey over a key in this thread; one that asks the parent; one that never answers. */
export type Answers = 'native' | 'here' | 'parent' | 'never';
export type Face = 'tls' | 'https' | 'http2';

export interface ServingPlan {
  readonly answers: Answers;
  readonly face: Face;
  readonly certPem: string;
  /** `undefined` where the parent has it. */
  readonly keyPem: string | undefined;
  /** Clients must show a certificate of this authority. */
  readonly clientCa?: string | undefined;
}

/** What it says to its parent. */
export type Said =
  | { readonly listening: number }
  | { readonly asked: number; readonly scheme: string; readonly message: Uint8Array };
/** What the parent says: the answer to an operation. */
export interface Answered {
  readonly asked: number;
  readonly signature: Uint8Array;
}

/** Of the environment: a {@link ServingPlan} as JSON. */
const PLAN_VARIABLE = 'KEYLESS_TLS_TEST_PLAN';

const say = (said: Said): void => {
  if (parentPort) parentPort.postMessage(said);
  else process.send?.(said);
};

const waiting = new Map<number, (signature: Uint8Array) => void>();
let asked = 0;

/** Every operation is told to the parent, whoever answers it. */
function keyOf({ answers, keyPem }: ServingPlan): string | PrivateKey {
  if (answers === 'native') return keyPem as string;
  const own = answers === 'here' ? localKey(keyPem as string) : undefined;
  return {
    sign(operation) {
      const { scheme, message } = operation;
      asked += 1;
      say({ asked, scheme, message });
      if (own) return own.sign(operation);
      return new Promise((resolve) => waiting.set(asked, resolve));
    },
  };
}

/** Who answers, in a word: threads differ in the first number, processes in the second. */
const WHO = `${threadId}/${process.pid}`;

interface Faces {
  readonly tls: Pick<typeof tls, 'createServer'>;
  readonly https: Pick<typeof https, 'createServer'>;
  readonly http2: Pick<typeof http2, 'createSecureServer'>;
}

const NATIVE: Faces = { tls, https, http2 };
const KEYLESS = { tls: keylessTls, https: keylessHttps, http2: keylessHttp2 } as unknown as Faces;

function makeServer(plan: ServingPlan): Server {
  const faces = plan.answers === 'native' ? NATIVE : KEYLESS;
  const options = {
    cert: plan.certPem,
    key: keyOf(plan) as string,
    ...(plan.clientCa ? { ca: plan.clientCa, requestCert: true, rejectUnauthorized: true } : {}),
  };
  if (plan.face === 'https') {
    return faces.https.createServer(options, ({ method, url }, response) => {
      response.setHeader('x-who', WHO).end(`${method} ${url}`);
    });
  }
  if (plan.face === 'http2') {
    return faces.http2.createSecureServer(options, ({ method, url }, response) => {
      response.setHeader('x-who', WHO);
      response.end(`${method} ${url}`);
    });
  }
  // What has been said is echoed at once, so that a connection may stay open.
  return faces.tls.createServer(options, (socket) => {
    socket.on('error', () => {}).on('data', (data) => socket.write(`${WHO} ${data}`));
  });
}

function serve(plan: ServingPlan): void {
  const server = makeServer(plan);
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1', () => say({ listening: (server.address() as { port: number }).port }));
}

function onAnswer({ asked: number, signature }: Answered): void {
  waiting.get(number)?.(signature);
  waiting.delete(number);
}

if (parentPort) parentPort.on('message', onAnswer);
else process.on('message', onAnswer);
serve(JSON.parse(process.env[PLAN_VARIABLE] as string) as ServingPlan);
