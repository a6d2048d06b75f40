/** Operations as the engine hands them to a PrivateKey, made by hand. */
import { performance } from 'node:perf_hooks';
import type { DecryptOperation, SignatureScheme, SignOperation } from '../../lib/keys/private-key.ts';
import { certificateVerify } from './handshake-messages.ts';

function context(keyId: Buffer, timeoutMs: number) {
  return {
    keyId,
    certificate: Buffer.alloc(0),
    role: 'server' as const,
    servername: 'www.example.org',
    peerAddress: '192.0.2.1',
    localAddress: '198.51.100.7',
    deadline: performance.now() + timeoutMs,
    signal: new AbortController().signal,
  };
}

export function signOperation(
  keyId: Buffer,
  scheme: SignatureScheme = 'ecdsa_secp256r1_sha256',
  message: Buffer = certificateVerify(),
  timeoutMs = 10_000,
): SignOperation {
  return { kind: 'sign', scheme, message, ...context(keyId, timeoutMs) };
}

export function decryptOperation(keyId: Buffer, ciphertext: Buffer): DecryptOperation {
  return { kind: 'decrypt', ciphertext, clientVersion: 0x0303, ...context(keyId, 10_000) };
}
