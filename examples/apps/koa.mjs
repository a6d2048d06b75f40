// Koa over HTTPS.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import Koa from 'koa';

const app = new Koa();
app.use(async (context) => {
  context.body = context.path === '/echo' ? await text(context.req) : 'hello from Koa';
});

const options = { key: readFileSync('server.key'), cert: readFileSync('server.crt') };
const server = createServer(options, app.callback());
server.listen(process.env.PORT ?? 8443, '127.0.0.1', () => console.log('listening', server.address().port));
process.on('SIGTERM', () => server.close());
