/** So many connections at once, each followed by the next. */
import { handshake, sessionFrom } from './client-handshake.ts';
import type { ClientFigures, ClosedPlan } from './client-plans.ts';
import { Tally } from './client-tally.ts';

/** Well before the end of sessions of any server here. */
const SESSION_MS = 200_000;
/** Kept from plan to plan: the handshake that makes one is not among those that are measured, when a warm-up came before. */
const kept = new Map<string, { readonly session: Buffer; readonly until: number }>();

async function sessionOf(plan: ClosedPlan, port: number): Promise<Buffer> {
  const name = `${plan.servers?.join()} ${port} ${plan.version}`;
  const known = kept.get(name);
  if (known !== undefined && known.until > performance.now()) return known.session;
  const session = await sessionFrom(plan, port);
  kept.set(name, { session, until: performance.now() + SESSION_MS });
  return session;
}

async function sessionsOf(plan: ClosedPlan): Promise<ReadonlyMap<number, Buffer>> {
  const sessions = new Map<number, Buffer>();
  if (plan.resume !== true) return sessions;
  for (const port of plan.ports) sessions.set(port, await sessionOf(plan, port));
  return sessions;
}

/** One of those that are at once: connection after connection until the time is over. */
async function oneAfterTheOther(
  plan: ClosedPlan,
  nextPort: () => number,
  sessions: ReadonlyMap<number, Buffer>,
  tally: Tally,
): Promise<void> {
  const until = performance.now() + plan.ms;
  while (performance.now() < until) {
    const [port, startedAt] = [nextPort(), performance.now()];
    const connection = handshake(plan, port, sessions.get(port));
    const { at, error } = await connection.handshake;
    if (at === undefined) tally.fail(error);
    else tally.through(at - startedAt);
    await connection.closed;
  }
}

/** See {@link ClosedPlan}. */
export async function closedLoop(plan: ClosedPlan): Promise<ClientFigures> {
  const sessions = await sessionsOf(plan);
  const tally = new Tally();
  let index = 0;
  const nextPort = () => plan.ports[index++ % plan.ports.length]!;
  const all = Array.from({ length: plan.concurrent }, () =>
    oneAfterTheOther(plan, nextPort, sessions, tally),
  );
  await Promise.all(all);
  return tally.figures();
}
