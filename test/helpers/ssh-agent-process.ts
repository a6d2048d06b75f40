/** Debian's ssh-agent on a socket of its own, and ssh-add to fill it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sshString } from '../../lib/protocol/ssh-data.ts';

const run = promisify(execFile);

/** OpenSSH reads other keys as PKCS#8, Ed25519 not before 9.6: its own format (PROTOCOL.key), not encrypted. */
function opensshEd25519(keyPem: string): string {
  const { x = '', d = '' } = createPrivateKey(keyPem).export({ format: 'jwk' });
  const publicBytes = Buffer.from(x, 'base64url');
  const type = sshString(Buffer.from('ssh-ed25519'));
  const empty = sshString(Buffer.alloc(0));
  const none = sshString(Buffer.from('none'));
  const both = Buffer.concat([Buffer.from(d, 'base64url'), publicBytes]);
  const secret = Buffer.concat([Buffer.alloc(8, 7), type, sshString(publicBytes), sshString(both), empty]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, at) => at + 1));
  const body = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...[none, none, empty, Buffer.of(0, 0, 0, 1)],
    sshString(Buffer.concat([type, sshString(publicBytes)])),
    sshString(Buffer.concat([secret, padding])),
  ]);
  const label = (word: string) => `-----${word} OPENSSH PRIVATE KEY-----`;
  return `${label('BEGIN')}\n${body.toString('base64')}\n${label('END')}\n`;
}

export class SshAgentProcess {
  readonly folder = mkdtempSync(join(tmpdir(), 'keyless-tls-agent-'));
  readonly path = join(this.folder, 'socket');
  #child: ChildProcess | undefined;

  static async start(): Promise<SshAgentProcess> {
    const agent = new SshAgentProcess();
    await agent.restart();
    return agent;
  }

  /** Without keys, at the same path. */
  async restart(): Promise<void> {
    const child = spawn('ssh-agent', ['-D', '-a', this.path], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    // It says where it listens when it does.
    await once(child.stdout, 'data');
  }

  async add(keyPem: string): Promise<void> {
    const file = join(this.folder, 'key');
    const isEd25519 = createPrivateKey(keyPem).asymmetricKeyType === 'ed25519';
    writeFileSync(file, isEd25519 ? opensshEd25519(keyPem) : keyPem, { mode: 0o600 });
    await this.#sshAdd('-q', file);
    rmSync(file);
  }

  removeAll(): Promise<void> {
    return this.#sshAdd('-q', '-D');
  }

  lock(): Promise<void> {
    return this.#sshAdd('-x');
  }

  unlock(): Promise<void> {
    return this.#sshAdd('-X');
  }

  /** Stands still, with its socket open. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
    rmSync(this.path, { force: true });
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #sshAdd(...args: readonly string[]): Promise<void> {
    const askpass = join(this.folder, 'askpass');
    writeFileSync(askpass, '#!/bin/sh\necho open\n', { mode: 0o700 });
    const asking = { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' };
    await run('ssh-add', args, { env: { ...process.env, ...asking, SSH_AUTH_SOCK: this.path } });
  }
}
