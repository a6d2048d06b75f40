// Express 5 over HTTPS, as anybody writes it.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import express from 'express';

const app = express();
app.use(express.text());
app.get('/', (_request, response) => response.send('hello from Express'));
app.post('/echo', (request, response) => response.type('text').send(request.body));

const server = createServer({ key: readFileSync('server.key'), cert: readFileSync('server.crt') }, app);
server.listen(process.env.PORT ?? 8443, '127.0.0.1', () => console.log('listening', server.address().port));
process.on('SIGTERM', () => server.close());
