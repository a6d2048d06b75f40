/** Looks at a folder of hosts: what has not changed is not made again, and others have their turns meanwhile. */
import assert from 'node:assert/strict';
import { copyFileSync, unlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { readHostFolder } from '../../../lib/proxy/host-folder.ts';
import { HostsFolder } from '../../helpers/proxying.ts';

const HOSTS = 50;
/** Until then, a file may change again unseen, and is read again. */
const SETTLED_MS = 2000;

let folder: HostsFolder;
const fileOf = (label: string) => `${folder.hosts}/${label}`;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('h0', ['a.test']);
  for (let index = 1; index < HOSTS; index += 1)
    for (const kind of ['crt', 'key']) copyFileSync(fileOf(`h0.${kind}`), fileOf(`h${index}.${kind}`));
});
after(() => folder.remove());

/** @returns what a look found, and the turns that others had */
async function look(before?: Awaited<ReturnType<typeof readHostFolder>>) {
  let [turns, looking] = [0, true];
  const count = () => {
    turns += 1;
    if (looking) setImmediate(count);
  };
  setImmediate(count);
  const found = await readHostFolder(folder.hosts, before);
  looking = false;
  return { found, turns };
}

test('a look makes only those hosts again whose files are others, one in each turn of the event loop', async () => {
  const first = await look();
  assert.equal(first.found.hosts.length, HOSTS);
  assert.ok(first.turns >= HOSTS - 1, `${first.turns} turns`);
  const renewed = await folder.add('h7', ['b.test']);
  unlinkSync(fileOf('h9.crt'));
  const { hosts, files } = (await look(first.found)).found;
  const others = hosts.filter((host) => first.found.files.get(host.label)?.host !== host);
  assert.deepEqual(
    others.map(({ label, names }) => [label, names]),
    [['h7', ['b.test']]],
  );
  assert.deepEqual(
    [hosts.length, files.has('h9'), renewed.certPem],
    [HOSTS - 1, false, others[0]!.secrets.cert],
  );
});

test('files that have not changed for a while are not even read', async () => {
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS + 100));
  const { found } = await look();
  const again = await look(found);
  for (const [label, files] of found.files) assert.equal(again.found.files.get(label), files);
  assert.ok(again.turns < HOSTS / 2, 'nor does each of them take a turn');
});
