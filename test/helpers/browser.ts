/**
 * Headless Chromium, driven over a pipe (Chrome DevTools Protocol): what its user sees of a page and of the connection.
 * It trusts the authority it is given as its user would: by the certificate store of a home folder of its own.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

/** What is behind the padlock. */
export interface Padlock {
  /** `secure` shows the padlock. */
  readonly state: string;
  /** As ALPN names it, `h2` or `http/1.1`. */
  readonly http: string;
  readonly tls: string;
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly cipher: string;
  /** IANA's number of the signature scheme the server signed with; `undefined`: it signed nothing (RSA key exchange). */
  readonly scheme: number | undefined;
}

/** How a page is looked at. */
export interface Look {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  readonly scheme: 'light' | 'dark';
  readonly media?: 'screen' | 'print';
}

/** What is seen of a page. */
export interface Seen {
  /** Errors of its scripts and resources, and what it told the console as errors. */
  readonly errors: readonly string[];
  /** The value of the expression. */
  readonly value: unknown;
  readonly png: Buffer;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  // biome-ignore lint/suspicious/noExplicitAny: the protocol's own messages, hundreds of kinds
  readonly params?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly result?: any;
  readonly error?: { readonly message: string };
}

const HEADLESS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-proxy-server'];

function trust(home: string, caPem: string): void {
  const store = join(home, '.pki/nssdb');
  mkdirSync(store, { recursive: true });
  writeFileSync(join(home, 'ca.crt'), caPem);
  const certutil = (...args: string[]) => execFileSync('certutil', ['-d', `sql:${store}`, ...args]);
  certutil('-N', '--empty-password');
  certutil('-A', '-t', 'C,,', '-n', 'tests', '-i', join(home, 'ca.crt'));
}

export class Browser {
  readonly #home: string;
  readonly #child: ChildProcess;
  readonly #write: Writable;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #watchers = new Set<(message: Message) => void>();
  #lastId = 0;

  /** @param caPem the authority to trust */
  constructor(caPem?: string) {
    this.#home = mkdtempSync(join(tmpdir(), 'keyless-tls-browser-'));
    if (caPem !== undefined) trust(this.#home, caPem);
    const args = [...HEADLESS, '--remote-debugging-pipe', `--user-data-dir=${join(this.#home, 'profile')}`];
    this.#child = spawn('chromium', args, {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: this.#home },
    });
    this.#write = this.#child.stdio[3] as Writable;
    this.#listen(this.#child.stdio[4] as Readable);
  }

  /** Opens a page. @returns its text, and what is behind the padlock */
  async open(url: string): Promise<{ text: string; padlock: Padlock }> {
    const { targetId } = await this.#ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.#ask('Target.attachToTarget', { targetId, flatten: true });
    await this.#ask('Network.enable', {}, sessionId);
    await this.#ask('Page.enable', {}, sessionId);
    const document = this.#event('Network.responseReceived', ({ type }) => type === 'Document');
    const loaded = this.#event('Page.loadEventFired', () => true);
    const { errorText } = await this.#ask('Page.navigate', { url }, sessionId);
    if (errorText !== undefined) throw new Error(`Chromium: ${errorText}`);
    const { response } = await document;
    await loaded;
    const expression = 'document.body.innerText';
    const { result } = await this.#ask('Runtime.evaluate', { expression }, sessionId);
    await this.#ask('Target.closeTarget', { targetId });
    return { text: result.value, padlock: padlockOf(response) };
  }

  /** Looks at a page. @param expression JavaScript, evaluated in it when it is loaded; its value can be JSON */
  async look(
    url: string,
    { width, height, scheme, media = 'screen' }: Look,
    expression: string,
  ): Promise<Seen> {
    const { targetId } = await this.#ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.#ask('Target.attachToTarget', { targetId, flatten: true });
    const ask = (method: string, params: object = {}) => this.#ask(method, params, sessionId);
    const [errors, stop] = this.#errorsOf(sessionId);
    for (const domain of ['Page', 'Runtime', 'Log']) await ask(`${domain}.enable`);
    const metrics = { width, height, deviceScaleFactor: 1, mobile: true };
    await ask('Emulation.setDeviceMetricsOverride', metrics);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await ask('Emulation.setEmulatedMedia', { media, features });
    const loaded = this.#event('Page.loadEventFired', () => true);
    await ask('Page.navigate', { url });
    await loaded;
    const { result } = await ask('Runtime.evaluate', { expression, returnByValue: true });
    const { data } = await ask('Page.captureScreenshot', { format: 'png' });
    stop();
    await this.#ask('Target.closeTarget', { targetId });
    return { errors, value: result.value, png: Buffer.from(data, 'base64') };
  }

  async close(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#write.write('{"id":0,"method":"Browser.close"}\0');
    await exit;
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5 });
  }

  #ask(method: string, params: object, sessionId?: string): Promise<NonNullable<Message['result']>> {
    this.#lastId += 1;
    const id = this.#lastId;
    this.#write.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result);
        else reject(new Error(`${method}: ${error.message}`));
      });
    });
  }

  #event(
    name: string,
    wanted: (params: NonNullable<Message['params']>) => boolean,
  ): Promise<NonNullable<Message['params']>> {
    return new Promise((resolve) => {
      const watch = ({ method, params }: Message) => {
        if (method !== name || !wanted(params)) return;
        this.#watchers.delete(watch);
        resolve(params);
      };
      this.#watchers.add(watch);
    });
  }

  /** @returns a list that grows, and how to end that */
  #errorsOf(sessionId: string): [string[], () => void] {
    const errors: string[] = [];
    const watch = (message: Message & { sessionId?: string }) => {
      const { method, params } = message;
      if (message.sessionId !== sessionId) return;
      if (method === 'Runtime.exceptionThrown') errors.push(params.exceptionDetails.text);
      if (method === 'Log.entryAdded' && params.entry.level === 'error') errors.push(params.entry.text);
      if (method === 'Runtime.consoleAPICalled' && params.type === 'error') errors.push('console.error');
    };
    this.#watchers.add(watch);
    return [errors, () => this.#watchers.delete(watch)];
  }

  #listen(from: Readable): void {
    let text = '';
    from.setEncoding('utf8').on('data', (chunk: string) => {
      const messages = (text + chunk).split('\0');
      text = messages.pop()!;
      for (const each of messages) this.#take(JSON.parse(each) as Message);
    });
  }

  #take(message: Message): void {
    if (message.id === undefined) {
      for (const watch of [...this.#watchers]) watch(message);
      return;
    }
    this.#waiting.get(message.id)?.(message);
    this.#waiting.delete(message.id);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: Network.Response of the protocol
function padlockOf({ securityState, protocol, securityDetails }: any): Padlock {
  return {
    state: securityState,
    http: protocol,
    tls: securityDetails.protocol,
    subject: securityDetails.subjectName,
    issuer: securityDetails.issuer,
    names: securityDetails.sanList,
    cipher: securityDetails.cipher,
    scheme: securityDetails.serverSignatureAlgorithm,
  };
}
