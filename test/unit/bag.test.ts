import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bag, type InBag, OUTSIDE } from '../../lib/bag.ts';

interface Member extends InBag {
  readonly name: string;
}

function filled(...names: readonly string[]) {
  const bag = new Bag<Member>();
  const members = names.map((name) => ({ name, place: OUTSIDE }));
  for (const member of members) bag.add(member);
  return { bag, members };
}

const namesIn = (bag: Bag<Member>) =>
  bag
    .members()
    .map(({ name }) => name)
    .sort();

test('a bag has what was added, until it is deleted, in whatever order', () => {
  for (const order of ['abcd', 'dcba', 'badc', 'cadb']) {
    const { bag, members } = filled('a', 'b', 'c', 'd');
    let left = 'abcd';
    for (const name of order) {
      assert.equal(bag.delete(members.find((each) => each.name === name)!), true);
      left = left.replace(name, '');
      assert.deepEqual(namesIn(bag), [...left], order);
      assert.equal(bag.size, left.length);
    }
  }
});

test('what is in no bag, or in another one, is not deleted', () => {
  const [one, other] = [filled('a', 'b'), filled('c', 'd')];
  assert.equal(one.bag.delete(other.members[0]!), false);
  assert.equal(one.bag.delete({ name: 'e', place: OUTSIDE }), false);
  assert.equal(one.bag.delete(one.members[1]!), true);
  assert.equal(one.bag.delete(one.members[1]!), false);
  assert.deepEqual([namesIn(one.bag), namesIn(other.bag)], [['a'], ['c', 'd']]);
});

test('a member is found, and its place is free after it has gone', () => {
  const { bag, members } = filled('a', 'b', 'c');
  bag.delete(members[0]!);
  bag.add(members[0]!);
  assert.equal(
    bag.find(({ name }) => name === 'a'),
    members[0],
  );
  assert.equal(
    bag.find(({ name }) => name === 'x'),
    undefined,
  );
  assert.deepEqual(namesIn(bag), ['a', 'b', 'c']);
});
