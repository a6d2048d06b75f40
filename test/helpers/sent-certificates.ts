/** Edges that send more certificates than their own to a key server. */
import { generateKeyPairSync } from 'node:crypto';
import tls from 'node:tls';
import { pingRequest } from '../../lib/protocol/request-encoder.ts';
import type { KeyServerSetup } from './key-servers.ts';
import { selfMade } from './self-made-certificate.ts';
import { connectPeer, type WirePeer } from './wire-peer.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** 350 bytes each, and twice those of the name more. */
export function selfMadeOnes(count: number, name = 'Nobody'): string {
  const ones = Array.from({ length: count }, () => selfMade({ name, publicKey, signedBy: privateKey }));
  return ones.map(({ certPem }) => certPem).join('');
}

/** Each with the edge's certificate and, behind it, others. */
export function connector(
  setup: KeyServerSetup,
  port: number,
  others: string,
  edge = setup.edge,
): () => Promise<WirePeer> {
  const ca = setup.authority.certPem;
  const secureContext = tls.createSecureContext({ cert: edge.certPem + others, key: edge.keyPem, ca });
  return () => connectPeer(port, { ca }, 'ours', { secureContext });
}

export async function isServed(peer: WirePeer): Promise<boolean> {
  try {
    return (await peer.ask(pingRequest())).kind === 'pong';
  } catch {
    return false;
  }
}
