/**
 * A connection whose client asks for another protocol (RFC 9110 §7.8), WebSocket above all. If the backend changes to it, bytes
 * go both ways behind the heads; any other answer is passed on as all answers are, and is the connection's last.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Exchange, type ExchangeResult, type Sender, type Sent } from './exchange.ts';
import { headText } from './final-status.ts';
import { changeFields } from './headers.ts';
import { closeAfterWords } from './last-words.ts';
import { pump } from './pump.ts';
import { readAhead } from './read-ahead.ts';
import type { OnChange } from './send-http1.ts';
import type { StallLimits } from './stall-watch.ts';

const SWITCHING_PROTOCOLS = 101;

interface LastResponse {
  readonly response: ServerResponse;
  /** Nothing is written with it. */
  detach(): void;
}

/** For a connection that a server of node:http has let go of. */
function lastResponse(request: IncomingMessage, client: Socket): LastResponse {
  const response = new ServerResponse(request);
  const drained = () => response.emit('drain');
  response.shouldKeepAlive = false;
  response.assignSocket(client);
  client.on('drain', drained);
  const detach = () => {
    client.off('drain', drained);
    response.detachSocket(client);
  };
  return { response, detach };
}

/**
 * Resolves when both directions have ended, or there was another answer; never rejects.
 *
 * @param head what has come behind the request
 */
export async function upgrade(
  request: IncomingMessage,
  client: Socket,
  head: Buffer,
  { send, limits }: { send: (sender: Sender, onChange: OnChange) => Sent; limits: StallLimits },
): Promise<ExchangeResult> {
  const [{ response, detach }, sentAhead] = [lastResponse(request, client), readAhead(client, head)];
  let changed: Promise<ExchangeResult> | undefined;
  const onChange: OnChange = (message, backend, backendHead) => {
    exchange.leave(SWITCHING_PROTOCOLS);
    detach();
    client.off('end', gone);
    client.write(headText(SWITCHING_PROTOCOLS, changeFields(message)), 'latin1');
    // To be passed on, and counted, with what comes.
    for (const [from, bytes] of [
      [client, sentAhead()],
      [backend, backendHead],
    ] as const)
      if (bytes.length > 0) from.unshift(bytes);
    const passed = pump(client, backend, limits.clientMs);
    changed = passed.then(({ bytesOut: bytes, error }) => ({ status: SWITCHING_PROTOCOLS, bytes, error }));
  };
  const exchange = new Exchange(request, response, {
    send: (sender) => {
      const sent = send(sender, onChange);
      // What is sent behind a request that keeps its protocol is for nobody; that its client goes is noticed all the same.
      const drop = () => {
        sentAhead();
        client.resume();
      };
      sent.answer.then(drop, drop);
      return sent;
    },
    limits,
    closing: () => false,
    lastAnswer: () => ({}),
  });
  // The time-out of kept connections is not that of what they become.
  client.setTimeout(0);
  // One that ends its side has no use for what it asked for either.
  const gone = () => client.destroy();
  client.on('end', gone);
  const result = await exchange.run();
  if (changed !== undefined) return changed;
  client.off('end', gone);
  closeAfterWords(client, limits.clientMs);
  return result;
}
