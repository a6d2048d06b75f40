/**
 * HTTPS in a process for each CPU. Each has connections and a lease of its own; the keys of their tickets are the same,
 * because key servers derive them: a client resumes its session in whichever process it comes to.
 *
 *   sh examples/certificates.sh
 *   node dist/lib/cli/main.js serve --cert certs/server.crt --key certs/server.pem --ca certs/ca.crt --keys certs/keys \
 *     --policy certs/policy.json --ticket-secret certs/ticket.secret
 *   node dist/examples/cluster.js
 */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { connectKeyServers, leaseTicketKeys } from 'keyless-tls';
import { createServer } from 'keyless-tls/https';

const { CERTS = 'certs', KEY_SERVERS = 'localhost:2407', PORT = '8443', WORKERS } = process.env;
const read = (name: string) => readFileSync(`${CERTS}/${name}`);

if (cluster.isPrimary) {
  for (let count = Number(WORKERS ?? availableParallelism()); count > 0; count -= 1) cluster.fork();
  cluster.on('listening', ({ process: { pid } }, { port }) =>
    console.log(`listening pid: ${pid}, port: ${port}`),
  );
  cluster.on('exit', (_worker, _code, signal) => signal && cluster.fork());
} else {
  const keys = connectKeyServers({
    servers: KEY_SERVERS.split(','),
    cert: read('edge.crt'),
    key: read('edge.pem'),
    ca: read('ca.crt'),
  });
  const lease = leaseTicketKeys(keys);
  const server = createServer({ cert: read('site.crt'), key: keys }, (_, response) => {
    response.end(`${process.pid}\n`);
  });
  lease.use(server);
  await lease.ready().catch(({ message }) => console.error('No session is resumed yet:', message));
  server.listen(Number(PORT));
}
