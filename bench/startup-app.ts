/** An HTTPS app as its users write it: `node startup-app.js [cert key]`. Writes its port, or that it has started, as one line. */
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

const [cert, key] = process.argv.slice(2).map((path) => readFileSync(path));
const options = cert === undefined || key === undefined ? {} : { cert, key };
const server = https.createServer(options, (_request, response) => response.end('hello\n'));
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
