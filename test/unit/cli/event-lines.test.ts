/** What a key server prints: whole lines, no more of one kind than a disk can bear, and all of them at the end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const CLOCK = new URL('../../../lib/clock.js', import.meta.url).href;
const MODULE = new URL('../../../lib/cli/event-lines.js', import.meta.url).href;

function sourceOf(json: boolean, program: string): string {
  return `import { eventLines } from ${JSON.stringify(MODULE)};
    let now = 0;
    const { systemClock } = await import(${JSON.stringify(CLOCK)});
    const lines = eventLines(${json}, { ...systemClock, now: () => now }, new Set(['request']));
    const { print } = lines;
    ${program}
    await lines.end();`;
}

/** Runs a program that has `lines`; @returns what it printed */
function printed(json: boolean, program: string): string[] {
  const source = sourceOf(json, program);
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
    encoding: 'utf8',
    maxBuffer: 16_777_216,
  });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.trimEnd().split('\n');
}

test('text: a line is words that can be taken apart again, whatever a peer puts in', () => {
  const [line] = printed(false, `print('event', { a: 'b c\\n"\\u202e', n: 1, none: undefined });`);
  assert.match(line!, /^\d{4}-\d\d-\d\dT[\d:.]{12}Z event a="b c\\n\\"\\u202e" n=1$/);
});

test('json: an object a line, problems and refusals as warnings', () => {
  const lines = printed(true, `print('listening', { port: 1 }); print('refused', { reason: 'a\\nb' });`);
  const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    events.map(({ time, ...rest }) => [typeof time, rest]),
    [
      ['string', { level: 'info', event: 'listening', port: 1 }],
      ['string', { level: 'warn', event: 'refused', reason: 'a\nb' }],
    ],
  );
});

test('beyond the bound, the lines of a second come together, and one tells of the rest', () => {
  const lines = printed(
    false,
    `for (let ms = 0; ms < 3000; ms += 1) { now = ms; print('refused', {}); }`,
  ).map((line) => line.slice(25));
  const left = lines.flatMap((line, at) => (line.startsWith('left-out') ? [at] : []));
  // 1,000 and those of the 1.1 s until they are used up, a pause, and those that have come together in it.
  assert.deepEqual(left, [1111, 1111 + 1 + 111]);
  assert.equal(lines.length, 1111 + 1 + 111 + 1);
});

test('a flood of one event is left out and counted, others are not held back', () => {
  const lines = printed(
    false,
    `for (let at = 0; at < 50_000; at += 1) print('refused', { at }); print('ended', {});`,
  ).map((line) => line.slice(25));
  const told = lines.filter((line) => line.startsWith('refused')).length;
  const left = lines
    .filter((line) => line.startsWith('left-out'))
    .map((line) => Number(/^left-out of=refused lines=(\d+)$/.exec(line)![1]))
    .reduce((sum, each) => sum + each, 0);
  assert.ok(told >= 1000 && told < 5000, `${told} lines`);
  assert.equal(told + left, 50_000);
  assert.ok(lines.includes('ended'));
});

for (const json of [false, true]) {
  test(`${json ? 'json' : 'text'}: an event that is not limited is printed each time; what there is no room for is counted`, () => {
    const all = printed(json, `for (let at = 0; at < 5000; at += 1) print('request', { at });`);
    assert.equal(all.length, 5000);
    const count = 30_000;
    const path = 'x'.repeat(100);
    const lines = printed(
      json,
      `for (let at = 0; at < ${count}; at += 1) print('request', { path: '${path}' });`,
    );
    const told = lines.filter((line) => line.includes(path)).length;
    const left = lines.flatMap((line) => /left-out.*request.*lines"?[:=](\d+)/.exec(line)?.[1] ?? []);
    assert.ok(told > 5000 && told < count, 'there is no room for all of one turn');
    assert.equal(
      left.reduce((sum, each) => sum + Number(each), told),
      count,
    );
  });
}

test('a full disk: lines go on when there is room again, whatever was left out', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-lines-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const log = join(folder, 'log');
  const source = sourceOf(
    false,
    `import { statSync, truncateSync } from 'node:fs';
    import { setImmediate } from 'node:timers/promises';
    const log = ${JSON.stringify(log)};
    for (let at = 0; at < 30_000; at += 1) {
      print('request', { path: '${'x'.repeat(100)}' });
      if (at % 100 === 0) await setImmediate();
    }
    truncateSync(log);
    while (statSync(log).size === 0) {
      print('request', { path: '/again' });
      await setImmediate();
    }`,
  );
  const args = ['-c', 'ulimit -f 64; exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', source];
  const { status, stderr } = spawnSync('sh', args, {
    stdio: ['ignore', openSync(log, 'a'), 'pipe'],
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(readFileSync(log, 'utf8'), /request path=x{100}\n/);
});
