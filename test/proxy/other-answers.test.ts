/** Answers to requests that ask `keyless-tls proxy` for another protocol and keep theirs: passed on as all answers are. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { type HostsFolder, ProxyProcess, portOf, proxied } from '../helpers/proxying.ts';

let folder: HostsFolder;
let port: number;
let end: () => Promise<void>;
let backend: Server;
/** What the backend says next; what comes second, when its client has read what was first. */
let words: readonly [string, string?];
let asked: Socket;

before(async () => {
  backend = createServer((socket) => {
    asked = socket;
    let got = '';
    socket
      .on('error', () => undefined)
      .on('data', (data) => {
        got += data.toString('latin1');
        if (!got.endsWith('\r\n\r\n')) return;
        got = '';
        if (words.length === 1) socket.end(words[0], 'latin1');
        else socket.write(words[0], 'latin1');
      });
  });
  ({ folder, port, end } = await proxied(backend));
});
after(() => end());

interface Heard {
  readonly text: string;
  /** Whether TLS was told of the end, without which nothing of unknown length is whole (RFC 9112 §9.8): Node.js does not say. */
  readonly closed: boolean;
}

async function ask(bytes: string): Promise<Heard> {
  const client = spawn('openssl', [
    ...['s_client', '-quiet', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost'],
    ...['-CAfile', folder.file('ca.crt')],
  ]);
  let text = '';
  client.stdin.on('error', () => undefined);
  client.stdin.write(bytes);
  client.stderr.resume();
  client.stdout.setEncoding('latin1').on('data', (data: string) => {
    text += data;
    if (words[1] !== undefined && text.includes('first')) asked.end(words[1], 'latin1');
  });
  const [code] = await once(client, 'close');
  return { text, closed: code === 0 };
}

const request = (version: string, fields = '') =>
  `GET / HTTP/${version}\r\nHost: localhost\r\nConnection: ${fields ? 'Upgrade' : 'close'}\r\n${fields}\r\n`;
const wish = (version: string) => request(version, 'Upgrade: foo, bar/2\r\n');

const undated = ({ text, closed }: Heard): Heard => ({ text: text.replace(/^date: .*\r\n/im, ''), closed });
const statusIn = ({ text }: Heard) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);

const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n';

for (const [what, answer, status] of [
  ['whole', ['HTTP/1.1 403 No\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno'], 403],
  ['long', [`HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n${'x'.repeat(3_000_000)}`], 200],
  ['of unknown length', ['HTTP/1.1 403 No\r\n\r\nfirst', ' and last'], 403],
  ['in chunks', [`HTTP/1.1 200 OK\r\n${CHUNKED}`, '4\r\nlast\r\n0\r\nX-Sum: 1\r\n\r\n'], 200],
  ['broken in its chunks', [`HTTP/1.1 403 No\r\n${CHUNKED}`, 'zz\r\n'], 403],
  ['cut off in its chunks', [`HTTP/1.1 403 No\r\n${CHUNKED}`, '9\r\nla'], 403],
  ['cut off within its length', ['HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nfirst', 'x'], 403],
  ['whole, with more behind it', ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more'], 200],
  ['a 205 with a body', ['HTTP/1.1 205 No\r\nContent-Length: 2\r\n\r\nxx'], 205],
  ['a 204 with a body', ['HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nxx'], 204],
  ['a 304 with a length', ['HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n'], 304],
  ['a status that is none', ['HTTP/1.1 099 No\r\n\r\n'], 502],
  ['no HTTP', ['hello\r\n\r\n'], 502],
  [
    'early hints, and more',
    ['HTTP/1.1 103 E\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok'],
    103,
  ],
] as const) {
  test(`an answer that is ${what} is the same, whether its client has asked for another protocol or not`, async () => {
    words = answer;
    for (const version of ['1.0', '1.1']) {
      const plain = undated(await ask(request(version)));
      assert.deepEqual(undated(await ask(wish(version))), plain, version);
      assert.equal(statusIn(plain), version === '1.0' && status === 103 ? 200 : status);
      assert.equal(plain.closed, !/cut|broken/.test(what));
    }
  });
}

test('a backend that changes to a protocol that nobody has named is a failure of the backend', async () => {
  for (const [protocol, status] of [
    ['websocket', 502],
    ['foo, websocket', 502],
    ['bar', 502],
    ['FOO', 101],
    ['foo,', 101],
    [',', 502],
    ['bar/2', 101],
  ] as const) {
    words = [`HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`];
    assert.equal(statusIn(await ask(wish('1.1'))), status, protocol);
  }
});

test('in HTTP/1.0, a backend of HTTP/2 is asked what does not ask for another protocol there', async () => {
  const server = createHttp2Server((_, response) => response.end('ok'));
  const other = new ProxyProcess(folder, ['--backend', `h2c://127.0.0.1:${await portOf(server)}`]);
  const before = port;
  try {
    port = await other.port();
    words = [''];
    const { text, closed } = await ask(wish('1.0'));
    assert.match(text, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nok$/);
    assert.ok(closed);
    assert.equal(statusIn(await ask(wish('1.1'))), 501);
    assert.equal((await other.event('request')).version, 'HTTP/1.0');
  } finally {
    port = before;
    assert.equal(await other.end(), 0);
    server.close();
  }
});
