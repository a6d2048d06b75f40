// A static page by `vite preview`, over HTTPS.
import { readFileSync } from 'node:fs';
import { preview } from 'vite';

const server = await preview({
  root: process.env.SITE ?? 'site',
  build: { outDir: '.' },
  logLevel: 'silent',
  preview: {
    port: Number(process.env.PORT ?? 8443),
    host: '127.0.0.1',
    https: { key: readFileSync('server.key'), cert: readFileSync('server.crt') },
  },
});
console.log('listening', server.httpServer.address().port);
process.on('SIGTERM', () => server.close());
