/** A connection of HTTP/1.1 between its client and the parser: what the parser is given, and when. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { EmptyLines } from '../../../lib/proxy/empty-lines.ts';
import { Line } from '../../../lib/proxy/line.ts';

test('an empty line is found whole or in pieces, with or without CR, and nothing else is one', () => {
  for (const [text, sizes] of [
    ['a\r\n\r\nb', [5, 1]],
    ['a\n\nb\n\r\nc', [3, 4, 1]],
    ['\r\na\r\n\r\n', [7]],
    ['a\r\n \r\n\r', [7]],
    ['abc', [3]],
  ] as const) {
    const found: number[] = [];
    const lines = new EmptyLines();
    for (let rest = Buffer.from(text); rest.length > 0; ) {
      found.push(lines.sizeUpTo(rest));
      rest = rest.subarray(found.at(-1));
    }
    assert.deepEqual(found, sizes, JSON.stringify(text));
  }
  const lines = new EmptyLines();
  const bytes = [...Buffer.from('a\r\n\r\nb')].map((byte) => Buffer.of(byte));
  // Of one byte each, all are whole; the state is told by what follows the fourth.
  for (const byte of bytes.slice(0, 4)) lines.sizeUpTo(byte);
  assert.equal(lines.sizeUpTo(Buffer.from('\nb\n\n')), 1);
});

test('what is sent ahead is held up to a bound, and goes on when the request before it is answered', () => {
  const socket = new PassThrough();
  const parsed: string[] = [];
  const response = new EventEmitter();
  socket.on('data', (bytes: Buffer) => parsed.push(bytes.toString()));
  const line = new Line(socket as unknown as TLSSocket, () => false, 60_000);
  const give = (bytes: string) => socket.emit('data', Buffer.from(bytes));
  give('first\n\n');
  const request = { complete: true, headers: {} } as IncomingMessage;
  assert.ok(line.begin(request, response as ServerResponse));
  give('second\n\nthird\n\n');
  assert.equal(socket.isPaused(), false);
  give('x'.repeat(65_536));
  assert.equal(socket.isPaused(), true, 'it is read from no more');
  assert.deepEqual(parsed, ['first\n\n']);
  response.emit('close');
  assert.equal(socket.isPaused(), false);
  assert.deepEqual(parsed.slice(1, 3), ['second\n\n', 'third\n\n']);
  assert.equal(line.leave().length, 0);
});
