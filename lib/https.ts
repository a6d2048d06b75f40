/** node:https with PrivateKey objects as `key`. What the functions return are Node's own objects. */
import type { ClientRequest, IncomingMessage, RequestListener } from 'node:http';
import https from 'node:https';
import { installEngine } from './engine/hook.ts';
import { sealOptions } from './engine/sealed-keys.ts';
import { type AcceptsKeys, acceptKeys, sealArguments, sealServerArguments } from './engine/server-options.ts';

installEngine();

export type ServerOptions = AcceptsKeys<https.ServerOptions>;
export type RequestOptions = AcceptsKeys<https.RequestOptions>;
export type AgentOptions = AcceptsKeys<https.AgentOptions>;

/** As https.createServer. */
export function createServer(listener?: RequestListener): https.Server;
export function createServer(options: ServerOptions, listener?: RequestListener): https.Server;
export function createServer(...values: unknown[]): https.Server {
  return acceptKeys(Reflect.apply(https.createServer, https, sealServerArguments(values)) as https.Server);
}

type OnResponse = (response: IncomingMessage) => void;

/** As https.request; the PrivateKey answers when the server asks for a client certificate. */
export function request(options: RequestOptions | string | URL, onResponse?: OnResponse): ClientRequest;
export function request(url: string | URL, options: RequestOptions, onResponse?: OnResponse): ClientRequest;
export function request(...values: unknown[]): ClientRequest {
  return Reflect.apply(https.request, https, sealArguments(values)) as ClientRequest;
}

/** As https.get. */
export function get(options: RequestOptions | string | URL, onResponse?: OnResponse): ClientRequest;
export function get(url: string | URL, options: RequestOptions, onResponse?: OnResponse): ClientRequest;
export function get(...values: unknown[]): ClientRequest {
  return Reflect.apply(https.get, https, sealArguments(values)) as ClientRequest;
}

/** As https.Agent. Connections are pooled by PrivateKey object: one identity never uses another's. */
export class Agent extends https.Agent {
  constructor(options?: AgentOptions) {
    super(sealOptions(options) as https.AgentOptions | undefined);
  }
}
