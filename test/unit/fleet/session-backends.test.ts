import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RedisClient, RedisSessions } from '../../../lib/fleet/session-backends.ts';

test('a client of Redis that is not connected is asked for nothing: it would queue commands without a bound', async () => {
  let asked = 0;
  const client = {
    isReady: false,
    get: async () => {
      asked += 1;
      return null;
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
