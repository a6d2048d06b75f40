/** The clients of `keyless-tls bench`: a process of its own that makes full handshakes, as many at once as it is told. */
import tls, { type SecureVersion } from 'node:tls';

export interface LoadPlan {
  readonly port: number;
  readonly version: SecureVersion;
  readonly count: number;
  readonly concurrent: number;
}

export interface LoadFigures {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly failed: number;
}

function load({ port, version, count, concurrent }: LoadPlan): Promise<number> {
  return new Promise((resolve) => {
    let started = 0;
    let ended = 0;
    let failed = 0;
    const next = () => {
      while (started < count && started - ended < concurrent) {
        started += 1;
        // No session is offered, so every handshake is a full one.
        const options = { port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: version };
        const socket = tls.connect(options, () => socket.write('x'));
        socket.on('data', () => undefined);
        socket.on('error', () => (failed += 1));
        socket.on('close', () => {
          ended += 1;
          if (ended === count) resolve(failed);
          else next();
        });
      }
    };
    next();
  });
}

process.on('message', async (message) => {
  const since = performance.now();
  const before = process.cpuUsage();
  const failed = await load(message as LoadPlan);
  const { user, system } = process.cpuUsage(before);
  const figures: LoadFigures = { wallMs: performance.now() - since, cpuMs: (user + system) / 1000, failed };
  process.send?.(figures);
});
process.on('disconnect', () => process.exit());
