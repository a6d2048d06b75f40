// A gRPC service (@grpc/grpc-js) without a .proto file: its messages are text.
import { readFileSync } from 'node:fs';
import { Server, ServerCredentials } from '@grpc/grpc-js';

const serialize = (text) => Buffer.from(text);
const deserialize = (bytes) => String(bytes);
const codecs = {
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize,
};
const hello = { path: '/example.Greeter/Hello', requestStream: false, responseStream: false, ...codecs };

const server = new Server();
server.addService({ hello }, { hello: (call, answer) => answer(null, `hello ${call.request}`) });
const pair = { private_key: readFileSync('server.key'), cert_chain: readFileSync('server.crt') };
const credentials = ServerCredentials.createSsl(null, [pair]);
server.bindAsync(`127.0.0.1:${process.env.PORT ?? 8443}`, credentials, (error, port) => {
  if (error) throw error;
  console.log('listening', port);
});
process.on('SIGTERM', () => server.forceShutdown());
