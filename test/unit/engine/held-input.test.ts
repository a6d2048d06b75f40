import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { holdInput } from '../../../lib/engine/held-input.ts';
import type { JsStreamHandle } from '../../../lib/engine/tls-handle.ts';

afterEach(() => process.setUncaughtExceptionCaptureCallback(null));

/** What Node's handle below a TLS socket is: its method is the prototype's. @param onChunk a listener of the user's */
function below(onChunk: (text: string) => void): JsStreamHandle {
  const methods = {
    emitEOF: () => {},
    readBuffer: (chunk: Uint8Array) => onChunk(Buffer.from(chunk).toString()),
  };
  return Object.create(methods) as JsStreamHandle;
}

test('what comes meanwhile is given in order afterwards, as it was, and what comes later at once', () => {
  const given: string[] = [];
  const stream = below((text) => given.push(text));
  const chunk = Buffer.from('one');
  const give = holdInput(stream, () => {
    stream.readBuffer(chunk);
    chunk.fill('x');
    stream.readBuffer(Buffer.from('two'));
  });
  assert.deepEqual(given, []);
  stream.readBuffer(Buffer.from('zero'));
  give(() => true);
  assert.deepEqual(given, ['zero', 'one', 'two']);
});

test('nothing is given to whoever takes no more', () => {
  const given: string[] = [];
  const stream = below((text) => given.push(text));
  const give = holdInput(stream, () => {
    for (const text of ['one', 'two', 'three']) stream.readBuffer(Buffer.from(text));
  });
  give(() => given.length < 2);
  assert.deepEqual(given, ['one', 'two']);
});

test('a listener that throws does not keep the rest from being read; each exception is seen', async () => {
  const [given, uncaught]: [string[], string[]] = [[], []];
  process.setUncaughtExceptionCaptureCallback((error) => {
    uncaught.push((error as Error).message);
  });
  const stream = below((text) => {
    given.push(text);
    if (text !== 'three') throw new Error(`of ${text}`);
  });
  const give = holdInput(stream, () => {
    for (const text of ['one', 'two', 'three']) stream.readBuffer(Buffer.from(text));
  });
  assert.throws(() => give(() => true), { message: 'of one' });
  await new Promise(setImmediate);
  assert.deepEqual([given, uncaught], [['one', 'two', 'three'], ['of two']]);
});
