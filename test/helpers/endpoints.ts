/** Socketless endpoints that talk to each other: everything happens in the order in which the test asks for it. */
import assert from 'node:assert/strict';
import {
  Handshake,
  type HandshakeOptions,
  type HandshakeState,
  localKey,
  type Operation,
} from '../../lib/index.ts';

/** @returns what a key in this process answers */
export function answerTo(operation: Operation | undefined, keyPem: string): Uint8Array {
  assert.ok(operation !== undefined, 'an operation waits');
  const key = localKey(keyPem, { sync: true });
  const answer = operation.kind === 'sign' ? key.sign(operation) : key.decrypt!(operation);
  return answer as Uint8Array;
}

/** A client and a server, and what either has shown of its states. */
export class Pair {
  readonly server: Handshake;
  readonly client: Handshake;
  readonly states: Record<'server' | 'client', HandshakeState[]>;

  constructor(server: Omit<HandshakeOptions, 'role'>, client: Omit<HandshakeOptions, 'role'>) {
    this.server = new Handshake({ role: 'server', ...server });
    this.client = new Handshake({ role: 'client', ...client });
    this.states = { server: [this.server.state], client: [this.client.state] };
  }

  /** Carries bytes until neither side has any; stops at nothing else. */
  settle(): void {
    let moved = true;
    while (moved) moved = this.#carry('client', 'server') || this.#carry('server', 'client');
  }

  /** Carries on to the end, answering whichever operation appears with the side's key. @returns the operations */
  finish(keys: { readonly server: string; readonly client?: string }): Operation[] {
    const operations: Operation[] = [];
    this.settle();
    for (;;) {
      const name = (['server', 'client'] as const).find((side) => this[side].operation !== undefined);
      if (name === undefined) return operations;
      const { operation } = this[name];
      operations.push(operation!);
      this.#note(name, this[name].supply(answerTo(operation, keys[name]!)));
      this.settle();
    }
  }

  close(): void {
    this.server.close();
    this.client.close();
  }

  #carry(from: 'server' | 'client', to: 'server' | 'client'): boolean {
    const bytes = this[from].drain();
    this.#note(from, this[from].state);
    if (bytes.length > 0) this.#note(to, this[to].feed(bytes));
    return bytes.length > 0;
  }

  #note(name: 'server' | 'client', state: HandshakeState): void {
    if (this.states[name].at(-1) !== state) this.states[name].push(state);
  }
}
