import assert from 'node:assert/strict';
import { test } from 'node:test';
import { comparableIdentity } from '../../../lib/server/identity-name.ts';

const EQUAL: readonly (readonly [string, string])[] = [
  ['DNS:Edge-1.Internal', 'DNS:edge-1.internal'],
  ['DNS:edge-1.internal.', 'DNS:edge-1.internal'],
  ['URI:SPIFFE://Example.ORG/Edge', 'URI:spiffe://example.org/Edge'],
  ['URI:https://User@EDGE.internal:8443/a?B#C', 'URI:https://User@edge.internal:8443/a?B#C'],
  ['URI:spiffe://example.org/a%2fb', 'URI:spiffe://example.org/a%2Fb'],
  ['URI:HTTPS://Example.ORG', 'URI:https://example.org'],
  ['URI:URN:Edge:1', 'URI:urn:Edge:1'],
  ['email:Ops@Example.ORG', 'email:Ops@example.org'],
  ['IP Address:2001:db8::1', 'IP Address:2001:DB8:0:0:0:0:0:1'],
];

for (const [one, other] of EQUAL) {
  test(`${one} is ${other}`, () => assert.equal(comparableIdentity(one), comparableIdentity(other)));
}

const DIFFERENT: readonly (readonly [string, string])[] = [
  ['DNS:edge-1.internal', 'DNS:edge-11.internal'],
  ['DNS:edge-1.internal..', 'DNS:edge-1.internal'],
  ['DNS:.', 'DNS:'],
  ['DNS:edge', 'URI:edge'],
  ['URI:spiffe://example.org/edge', 'URI:spiffe://example.org/Edge'],
  ['URI:https://User@edge.internal/', 'URI:https://user@edge.internal/'],
  ['URI:https://edge.internal/?A', 'URI:https://edge.internal/?a'],
  ['URI:urn:edge:A', 'URI:urn:edge:a'],
  ['URI:spiffe://example.org', 'URI:spiffe://example.org/'],
  ['email:Ops@example.org', 'email:ops@example.org'],
  ['IP Address:10.0.0.1', 'IP Address:10.0.0.10'],
  ['sha256/Abc=', 'sha256/abc='],
];

for (const [one, other] of DIFFERENT) {
  test(`${one} is not ${other}`, () => assert.notEqual(comparableIdentity(one), comparableIdentity(other)));
}

test('a name that is compared stays as it is when it is compared again', () => {
  for (const [one] of [...EQUAL, ...DIFFERENT]) {
    const name = comparableIdentity(one);
    assert.equal(comparableIdentity(name), name);
  }
});
