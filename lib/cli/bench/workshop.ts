/** What all questions share: certificates, the key server, the clients, and edges that are warm. */
import { rmSync } from 'node:fs';
import { KeylessError } from '../../errors.ts';
import { type KeyServerProcess, startKeyServer } from '../key-server-process.ts';
import { describe, PLACEMENT, pin, type Role } from './cores.ts';
import { Crew } from './crew.ts';
import { Edge } from './edge.ts';
import type { Asking, EdgeMode, EdgePlan } from './edge-process.ts';
import { environmentForChildren } from './environment.ts';
import { Link } from './link.ts';
import { cpuMsOf } from './process-figures.ts';
import { Program } from './program.ts';
import { orTheirEnd } from './reason.ts';
import { CONCURRENT, type Scale } from './scale.ts';
import { keyPemOf, makeSiteFiles, type Site, type SiteFiles } from './sites.ts';
import { momentOf, type Own, type Waits, waitsBetween, watchOwnStandstill } from './waits.ts';

/** `isolated` is native under isolate; `unverified` is local, and the engine does not check RSA signatures. */
export type EdgeName = 'native' | 'remote' | 'local' | 'unverified' | 'isolated' | 'pinging';

const ISOLATE = `--import=${new URL('../../wrap/isolate.js', import.meta.url).href}`;
export const WARM_UP_SITES: readonly Site[] = ['RSA-2048', 'P-256'];
export const WARM_UP_VERSION = 'TLSv1.3';
/** A machine that is busy for good is not waited for. */
const MOST_WARM_UPS = 4;
const SITES: readonly Site[] = ['RSA-2048', 'RSA-3072', 'P-256', 'P-384', 'Ed25519'];

/** A process of the workshop. */
interface Owned extends Own {
  readonly isPinned: boolean;
  end(): void;
}

/** Owner: the command; `close()` ends every process of it, whoever has it then. States: open -> closed. */
export class Workshop {
  readonly scale: Scale;
  readonly files: SiteFiles;
  readonly keyServer: KeyServerProcess;
  readonly clients = new Crew();
  /** Rejects when something that all work needs has ended: nothing would be measured here any more. */
  readonly #broken: Promise<never>;
  /** Is told that an edge has ended that was not told to. */
  #tellLost: (error: unknown) => void = () => undefined;
  readonly #owned = new Set<Owned>();
  readonly #edges = new Map<EdgeName, Edge>();
  readonly #say: (what: string) => void;
  #everyPin = true;

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
    const { pid = 0 } = keyServer.child;
    const isPinned = pin(pid, 'key server');
    this.#own({ pid, role: 'key server', isPinned, end: () => keyServer.child.kill('SIGKILL') });
    for (const each of this.clients.members) this.#own(each);
    this.#broken = Promise.race([keyServerGone(keyServer), this.clients.gone]);
    this.#broken.catch(() => undefined);
  }

  /** @param say is told what happens now, in a few words; @param over ends what is being started, and this rejects then */
  static async open(
    scale: Scale,
    say: (what: string) => void = () => undefined,
    over?: AbortSignal,
  ): Promise<Workshop> {
    const files = makeSiteFiles();
    try {
      return new Workshop(scale, files, await startKeyServer(files, environmentForChildren(), over), say);
    } catch (error) {
      rmSync(files.folder, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * @param work that is done here; it goes on where this rejects
   * @throws (rejects) at once that something has ended that all work needs; what the work throws, or that an edge has ended, if one has
   */
  during<T>(work: Promise<T>): Promise<T> {
    const lost = new Promise<never>((_, reject) => (this.#tellLost = reject));
    return Promise.race([orTheirEnd(work, Promise.race([this.#broken, lost])), this.#broken]);
  }

  say(what: string): void {
    this.#say(what);
  }

  /** CPU milliseconds of the key server; `undefined`: this system does not say. */
  keyServerCpuMs(): number | undefined {
    return cpuMsOf(this.keyServer.child.pid);
  }

  /** Which process has which core, in words. */
  get placement(): string {
    return this.#everyPin ? describe(PLACEMENT) : 'not every process has a core of its own (taskset failed)';
  }

  /** Whether the measured process shares its core with nobody of the benchmark. */
  get isPlaced(): boolean {
    return this.#everyPin && PLACEMENT.cores !== undefined;
  }

  /** @param mode of the edge; @param keyServerPort a link's; default: the key server's own; @param how it is asked */
  planOf(mode: EdgeMode, keyServerPort = this.keyServer.port, how: Asking = {}): EdgePlan {
    const holdsKeys = mode === 'native' || mode === 'local' || mode === 'pinging';
    const sites = SITES.map((site) => {
      const key = holdsKeys ? keyPemOf(this.files, site) : undefined;
      return [site, { cert: this.files.certs[site], key }];
    });
    const plan = { mode, sites: Object.fromEntries(sites) };
    if (mode !== 'remote' && mode !== 'pinging') return plan;
    const { edge, ca } = this.files;
    return { ...plan, keyServer: { port: keyServerPort, ...edge, ca, ...how } };
  }

  /** The edge of this name: started when it is asked for first, and warm when it is given. */
  async edge(name: EdgeName): Promise<Edge> {
    const known = this.#edges.get(name);
    if (known !== undefined) return known;
    const edge = await this.#start(name);
    this.#edges.set(name, edge);
    this.#say(`warming up the ${name} edge`);
    try {
      await this.warmUp(edge);
    } catch (error) {
      this.renew([name]);
      throw error;
    }
    return edge;
  }

  /** Between questions: one that has ended is not asked again. Within a question it is, and that has no figures. */
  forgetEnded(): void {
    this.renew([...this.#edges].filter(([, edge]) => edge.isGone).map(([name]) => name));
  }

  /** Ends edges: who asks for one of them next is given another process. */
  renew(names: readonly EdgeName[]): void {
    for (const name of names) {
      const edge = this.#edges.get(name);
      if (edge === undefined) continue;
      edge.end();
      this.#edges.delete(name);
      this.#owned.delete(edge);
    }
  }

  /** An edge of the caller's own, cold. @throws (rejects) KeylessError ERR_KEYLESS_CONNECTION if it does not listen */
  async startEdge(plan: EdgePlan, execArgv: readonly string[] = [], role: Role = 'edge'): Promise<Edge> {
    const edge = this.#own(new Edge(execArgv, role));
    edge.lost.catch((error: unknown) => this.#tellLost(error));
    await edge.listen(plan);
    this.#everyPin &&= edge.isPinned;
    return edge;
  }

  /** @param port that it leads to; default: the key server's */
  async startLink(port = this.keyServer.port): Promise<Link> {
    const link = this.#own(new Link());
    await link.listen(port);
    return link;
  }

  /** @param lengthMs that it takes; @returns what a program printed, with the cores of a role; `undefined`: there is none, or it failed */
  async run(
    role: Role,
    command: string,
    args: readonly string[],
    lengthMs: number,
  ): Promise<string | undefined> {
    const program = this.#own(new Program(role, command, args, lengthMs));
    try {
      return await program.output;
    } finally {
      this.#owned.delete(program);
    }
  }

  /** Processes that others started, and end: pinned, and not taken for strangers. */
  adopt(pids: readonly number[], role: Role): void {
    for (const pid of pids) {
      if ([...this.#owned].some((each) => each.pid === pid)) continue;
      this.#own({ pid, role, isPinned: pin(pid, role), end: () => undefined });
    }
  }

  /** @param edges processes that are measured; @returns what the work gives, and what kept the benchmark from running meanwhile */
  async watched<T>(edges: readonly { readonly pid: number }[], work: () => Promise<T>): Promise<[T, Waits]> {
    const own: readonly Own[] = [...this.#owned, { pid: process.pid, role: 'anywhere' }];
    const [before, standstill] = [momentOf(own), watchOwnStandstill()];
    try {
      const value = await work();
      const after = momentOf(own);
      const pids = edges.map(({ pid }) => pid);
      const stood = standstill() / (after.at - before.at);
      return [value, { ...waitsBetween(before, after, pids), standstill: stood }];
    } finally {
      standstill();
    }
  }

  /** For so long, and longer where other programs leave the edge less than half of a core: its CPU time is what warms it. */
  async warmUp(edge: Edge, ms = this.scale.warmUpMs): Promise<void> {
    for (const site of WARM_UP_SITES) {
      const ports = [edge.ports[site]!];
      const each = ms / WARM_UP_SITES.length;
      const enough = (await edge.figures()).cpuMs + each / 2;
      for (let times = 0; times < MOST_WARM_UPS; times += 1) {
        const plan = {
          kind: 'closed',
          version: WARM_UP_VERSION,
          concurrent: CONCURRENT,
          ports,
          ms: each,
        } as const;
        await this.clients.run(plan);
        if ((await edge.figures()).cpuMs >= enough) break;
      }
    }
  }

  async close(): Promise<void> {
    for (const each of this.#owned) each.end();
    await this.keyServer.ended;
    rmSync(this.files.folder, { recursive: true, force: true });
    await Promise.all([...this.#owned].map((each) => each instanceof Edge && each.gone));
  }

  #own<Each extends Owned>(one: Each): Each {
    this.#owned.add(one);
    this.#everyPin &&= one.isPinned || one instanceof Edge;
    return one;
  }

  #start(name: EdgeName): Promise<Edge> {
    if (name === 'isolated') return this.startEdge(this.planOf('native'), [ISOLATE], 'anywhere');
    if (name === 'unverified') return this.startEdge({ ...this.planOf('local'), verify: 'never' });
    return this.startEdge(this.planOf(name));
  }
}

async function keyServerGone({ ended }: KeyServerProcess): Promise<never> {
  throw new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    `The key server of the benchmark has ended: ${await ended}.`,
  );
}
