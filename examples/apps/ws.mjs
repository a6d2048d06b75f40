// A WebSocket server (ws) on an HTTPS server.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { WebSocketServer } from 'ws';

const options = { key: readFileSync('server.key'), cert: readFileSync('server.crt') };
const server = createServer(options, (_request, response) => response.end('hello from ws'));
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${data}`)));

server.listen(process.env.PORT ?? 8443, '127.0.0.1', () => console.log('listening', server.address().port));
process.on('SIGTERM', () => {
  for (const client of sockets.clients) client.terminate();
  server.close();
});
