// Fastify 5 over HTTP/2, with HTTP/1.1 for whoever wants it.
import { readFileSync } from 'node:fs';
import Fastify from 'fastify';

const app = Fastify({
  http2: true,
  https: { allowHTTP1: true, key: readFileSync('server.key'), cert: readFileSync('server.crt') },
});
app.get('/', async () => 'hello from Fastify');
app.post('/echo', async (request) => request.body);

await app.listen({ port: Number(process.env.PORT ?? 8443), host: '127.0.0.1' });
console.log('listening', app.server.address().port);
process.on('SIGTERM', () => app.close());
