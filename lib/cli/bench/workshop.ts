/** What all questions share: certificates, the key server, the clients, and edges that are warm. */
import { rmSync } from 'node:fs';
import { type KeyServerProcess, startKeyServer } from '../key-server-process.ts';
import { Clients } from './clients.ts';
import { pin } from './cores.ts';
import { Edge } from './edge.ts';
import type { EdgeMode, EdgePlan } from './edge-process.ts';
import { cpuMsOf } from './process-figures.ts';
import { CONCURRENT, type Scale } from './scale.ts';
import { keyPemOf, makeSiteFiles, type Site, type SiteFiles } from './sites.ts';

/** `isolated` is native under isolate; `unverified` is local, and the engine does not check RSA signatures. */
export type EdgeName = 'native' | 'remote' | 'local' | 'unverified' | 'isolated' | 'pinging';

const ISOLATE = `--import=${new URL('../../wrap/isolate.js', import.meta.url).href}`;
const WARM_UP_SITES: readonly Site[] = ['RSA-2048', 'P-256'];
/** A machine that is busy for good is not waited for. */
const MOST_WARM_UPS = 4;
const SITES: readonly Site[] = ['RSA-2048', 'RSA-3072', 'P-256', 'P-384', 'Ed25519'];

/** Owner: the command; `close()` ends every process of it. */
export class Workshop {
  readonly scale: Scale;
  readonly files: SiteFiles;
  readonly keyServer: KeyServerProcess;
  readonly clients = new Clients();
  readonly #edges = new Map<EdgeName, Edge>();
  readonly #say: (what: string) => void;

  private constructor(
    scale: Scale,
    files: SiteFiles,
    keyServer: KeyServerProcess,
    say: (what: string) => void,
  ) {
    this.scale = scale;
    this.files = files;
    this.keyServer = keyServer;
    this.#say = say;
    pin(keyServer.child.pid, 'key server');
  }

  /** @param say is told what happens now, in a few words */
  static async open(scale: Scale, say: (what: string) => void = () => undefined): Promise<Workshop> {
    const files = makeSiteFiles();
    try {
      return new Workshop(scale, files, await startKeyServer(files), say);
    } catch (error) {
      rmSync(files.folder, { recursive: true, force: true });
      throw error;
    }
  }

  say(what: string): void {
    this.#say(what);
  }

  /** CPU milliseconds of the key server; `undefined`: this system does not say. */
  keyServerCpuMs(): number | undefined {
    return cpuMsOf(this.keyServer.child.pid);
  }

  /** @param mode of the edge; @param keyServerPort a link's; default: the key server's own; @param connections to it */
  planOf(mode: EdgeMode, keyServerPort = this.keyServer.port, connections?: number): EdgePlan {
    const holdsKeys = mode === 'native' || mode === 'local' || mode === 'pinging';
    const sites = SITES.map((site) => {
      const key = holdsKeys ? keyPemOf(this.files, site) : undefined;
      return [site, { cert: this.files.certs[site], key }];
    });
    const plan = { mode, sites: Object.fromEntries(sites) };
    if (mode !== 'remote' && mode !== 'pinging') return plan;
    const { edge, ca } = this.files;
    return { ...plan, keyServer: { port: keyServerPort, ...edge, ca, connections } };
  }

  /** The edge of this name: started when it is asked for first, and warm when it is given. */
  async edge(name: EdgeName): Promise<Edge> {
    const known = this.#edges.get(name);
    if (known !== undefined) return known;
    const edge = await this.#start(name);
    this.#edges.set(name, edge);
    this.#say(`warming up the ${name} edge`);
    await this.warmUp(edge);
    return edge;
  }

  /** For so long, and longer where other programs leave the edge less than half of a core: its CPU time is what warms it. */
  async warmUp(edge: Edge, ms = this.scale.warmUpMs): Promise<void> {
    for (const site of WARM_UP_SITES) {
      const ports = [edge.ports[site]!];
      const each = ms / WARM_UP_SITES.length;
      const enough = (await edge.figures()).cpuMs + each / 2;
      for (let times = 0; times < MOST_WARM_UPS; times += 1) {
        const plan = { kind: 'closed', version: 'TLSv1.3', concurrent: CONCURRENT, ports, ms: each } as const;
        await this.clients.run(plan);
        if ((await edge.figures()).cpuMs >= enough) break;
      }
    }
  }

  async close(): Promise<void> {
    this.clients.end();
    for (const edge of this.#edges.values()) edge.end();
    this.keyServer.child.kill();
    await this.keyServer.ended;
    rmSync(this.files.folder, { recursive: true, force: true });
  }

  #start(name: EdgeName): Promise<Edge> {
    if (name === 'isolated') return Edge.start(this.planOf('native'), [ISOLATE], 'anywhere');
    if (name === 'unverified') return Edge.start({ ...this.planOf('local'), verify: 'never' });
    return Edge.start(this.planOf(name));
  }
}
