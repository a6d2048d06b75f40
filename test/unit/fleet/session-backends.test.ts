import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SEALED_BYTES } from '../../../lib/fleet/sealed-session.ts';
import { type RedisClient, RedisSessions } from '../../../lib/fleet/session-backends.ts';

test('a client of Redis that is not connected is asked for nothing: it would queue commands without a bound', async () => {
  let asked = 0;
  const client = {
    isReady: false,
    getRange: async () => {
      asked += 1;
      return '';
    },
    set: async () => {
      asked += 1;
    },
  };
  const sessions = new RedisSessions(client satisfies RedisClient, 'prefix:');
  await assert.rejects(sessions.get('name'), /not connected/);
  await assert.rejects(sessions.set('name', Buffer.alloc(1), 1000), /not connected/);
  assert.equal(asked, 0);
  client.isReady = true;
  assert.equal(await sessions.get('name'), undefined);
  await sessions.set('name', Buffer.alloc(1), 1000);
  assert.equal(asked, 2);
});

test('what Redis gives back is an entry up to the length of the longest one, and nothing beyond', async () => {
  let text = '';
  const client: RedisClient = {
    isReady: true,
    getRange: async (_key: string, start: number, end: number) => text.slice(start, end + 1),
    set: async () => undefined,
  };
  const sessions = new RedisSessions(client, 'prefix:');
  const longest = Buffer.alloc(MAX_SEALED_BYTES, 7);
  text = longest.toString('base64');
  assert.deepEqual(await sessions.get('name'), longest);
  text = Buffer.alloc(MAX_SEALED_BYTES + 3).toString('base64');
  assert.equal(await sessions.get('name'), undefined);
});
