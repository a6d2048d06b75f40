/**
 * An edge with RSA key exchange and its key server, in a process of their own: whoever times it sits in another one.
 * Started with fork(); `process.argv[2]` is how many microseconds longer blocks take that do not begin with 00 02.
 */
import { connectKeyServers, createServer } from '../../lib/index.ts';
import { keyStoreOf } from '../../lib/server/pem-directory.ts';
import { pemKey } from '../../lib/server/pem-key.ts';
import { listen } from './connections.ts';
import { makeKeyServers } from './key-servers.ts';

export interface PremasterEdge {
  readonly port: number;
  /** The site's certificate, PEM. */
  readonly cert: string;
}

async function start(leakNs: bigint): Promise<PremasterEdge> {
  const setup = await makeKeyServers(['rsa']);
  const { certPem, keyPem } = setup.sites.rsa!;
  const honest = pemKey(keyPem, 'site');
  const leaky = {
    ...honest,
    async decryptRaw(ciphertext: Uint8Array) {
      const block = await honest.decryptRaw!(ciphertext);
      const until = process.hrtime.bigint() + leakNs;
      if (block[1] !== 2) while (process.hrtime.bigint() < until);
      return block;
    },
  };
  const keys = keyStoreOf([leakNs === 0n ? honest : leaky]);
  const { port } = await setup.start({ keys, allowDecrypt: 'every-key' });
  const key = connectKeyServers({ servers: [`127.0.0.1:${port}`], ...setup.edgeOptions });
  await key.ready();
  const server = createServer({ cert: certPem, key });
  server.on('tlsClientError', () => undefined);
  return { port: await listen(server), cert: certPem };
}

start(BigInt(process.argv[2] ?? 0) * 1000n).then((edge) => process.send?.(edge));
process.once('disconnect', () => process.exit());
