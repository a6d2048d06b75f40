/** The parts of the demo: a folder of certificates, the key server's process, the HTTPS edge. */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from '../https.ts';
import { connectKeyServers, type KeyServers } from '../keys/key-servers.ts';
import { demoPage } from './demo-page.ts';
import {
  DEMO_SITES,
  type Files,
  type KeyServerProcess,
  makeFiles,
  startKeyServer,
} from './key-server-process.ts';

/** A running demo. */
export interface Demo {
  readonly port: number;
  /** The authority of the edge's certificates, PEM, and the file that holds it. */
  readonly ca: string;
  readonly caFile: string;
  readonly keyServerPid: number;
  /** Resolves when the key server's process has ended, with what it said last. */
  readonly keyServerEnded: Promise<string>;
  /** Ends everything and removes the folder. */
  close(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';
async function startEdge(server: Server, port: number, host: string): Promise<void> {
  server.listen(port, host);
  await once(server, 'listening'); // rejects with the error, if that comes first
}

interface Running {
  keyServer?: KeyServerProcess;
  keys?: KeyServers;
  edge?: Server;
}

async function end(files: Files, { keyServer, keys, edge }: Running): Promise<void> {
  edge?.close();
  edge?.closeAllConnections();
  keys?.close();
  if (keyServer !== undefined) {
    keyServer.child.kill('SIGTERM');
    await keyServer.ended;
  }
  rmSync(files.folder, { recursive: true, force: true });
}

/** @param port of the edge, 0: any free one; @param host address it listens on */
export async function startDemo(port: number, host: string): Promise<Demo> {
  const files = makeFiles(DEMO_SITES);
  const running: Running = {};
  try {
    const keyServer = await startKeyServer(files);
    running.keyServer = keyServer;
    const servers = [`${LOOPBACK}:${keyServer.port}`];
    const keys = connectKeyServers({ servers, ...files.edge, ca: files.ca });
    running.keys = keys;
    await keys.ready();
    const edge = createServer({ cert: [files.certs.rsa, files.certs.ecdsa], key: keys }, demoPage());
    running.edge = edge;
    await startEdge(edge, port, host);
    return {
      port: (edge.address() as AddressInfo).port,
      ca: files.ca,
      caFile: join(files.folder, 'ca.crt'),
      keyServerPid: keyServer.child.pid ?? 0,
      keyServerEnded: keyServer.ended,
      close: () => end(files, running),
    };
  } catch (error) {
    await end(files, running);
    throw error;
  }
}
