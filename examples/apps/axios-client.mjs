// axios with a client certificate: `node axios-client.mjs https://localhost:8443/`.
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import axios from 'axios';

const httpsAgent = new Agent({
  key: readFileSync('client.key'),
  cert: readFileSync('client.crt'),
  ca: readFileSync('ca.crt'),
});
const { status, data } = await axios.get(process.argv[2], { httpsAgent });
console.log(status, data);
