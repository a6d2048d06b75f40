/**
 * `node --import keyless-tls/isolate app.js`: every private key that the app gives to TLS moves into a process of its
 * own, and this one keeps none. Nothing to configure, no key server.
 */
import type { X509Certificate } from 'node:crypto';
import { moveNativeKeys } from '../engine/contexts.ts';
import { installEngine } from '../engine/hook.ts';
import type { PrivateKey } from '../keys/private-key.ts';
import { subjectKeyId } from '../protocol/key-id.ts';
import { premasterRequest, signRequest } from '../protocol/request-encoder.ts';
import { keyKindOf } from '../signing/key-kind.ts';
import { KeyProcess } from './key-process.ts';

const keyProcess = new KeyProcess();

/** Kinds of key that the key process does not sign with (DSA, curves that are not TLS 1.3's) stay with Node. */
function canMove(certificate: X509Certificate): boolean {
  try {
    keyKindOf(certificate.publicKey);
    return true;
  } catch {
    return false;
  }
}

/** By key id, so that one key is handed over once, however many contexts are made with it. */
const isolated = new Map<string, PrivateKey>();

function isolatedKey(certificate: X509Certificate, pkcs8: Buffer): PrivateKey | undefined {
  if (!canMove(certificate)) return undefined;
  const publicKey = certificate.publicKey.export({ type: 'spki', format: 'der' });
  const keyId = subjectKeyId(publicKey);
  const name = publicKey.toString('base64');
  const known = isolated.get(name);
  if (known !== undefined) return known;
  keyProcess.keep(pkcs8);
  const key: PrivateKey = {
    // The other process is our own, and OpenSSL there checks each RSA signature for the faults that would betray the key.
    verify: 'never',
    sign: ({ scheme, message }) => keyProcess.ask(signRequest(scheme, message, { keyId })),
    decrypt:
      certificate.publicKey.asymmetricKeyType === 'rsa'
        ? ({ ciphertext, clientVersion }) =>
            keyProcess.ask(premasterRequest(ciphertext, clientVersion, { keyId }))
        : undefined,
  };
  isolated.set(name, key);
  return key;
}

installEngine();
moveNativeKeys(isolatedKey);
