// undici with a client certificate: `node undici-client.mjs https://localhost:8443/`.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';

const dispatcher = new Agent({
  connect: {
    key: readFileSync('client.key'),
    cert: readFileSync('client.crt'),
    ca: readFileSync('ca.crt'),
  },
});
const { statusCode, body } = await request(process.argv[2], { dispatcher });
console.log(statusCode, await body.text());
await dispatcher.close();
