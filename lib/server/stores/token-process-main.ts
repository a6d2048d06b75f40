/**
 * The process that talks to a token: one task after the other, each blocks it. It ends with its parent, also in a call of the
 * module that does not return, and when the parent says so; it reads no file and no argument, and prints nothing.
 */
import { tieTo } from '../../engine/tether.ts';
import { openToken } from './token-library.ts';
import { TokenSession } from './token-session.ts';
import {
  TokenError,
  type TokenFailure,
  type TokenReply,
  type TokenResult,
  type TokenTask,
} from './token-tasks.ts';

/** The contract with token-process.ts. */
const TETHER = 4;

let session: TokenSession | undefined;

async function perform(task: TokenTask): Promise<TokenResult> {
  if (task.kind === 'open') {
    session = new TokenSession(await openToken(task), task.pin);
    return undefined;
  }
  if (session === undefined) throw new TokenError('setup', 'The token is not open');
  if (task.kind === 'list') return session.list();
  return task.kind === 'sign' ? session.sign(task) : session.decryptRaw(task.keyId, task.input);
}

/** What nobody expected is an error of ours: nothing of it goes out, and the process is not to be used any more. */
function failureOf(error: unknown): TokenFailure {
  if (!(error instanceof TokenError)) return { reason: 'lost', message: 'The process of the token failed' };
  return { reason: error.reason, message: error.message };
}

// Before the module is there: in a call of it that hangs, nothing of JavaScript sees the parent's end.
tieTo(TETHER);
process.on('message', (task: TokenTask) => {
  const reply = (answer: TokenReply) => void process.send?.(answer);
  perform(task).then(
    (result) => reply({ result }),
    (error) => reply({ failure: failureOf(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
// A signal to the whole group (Ctrl-C) is the parent's business: answers under way still leave.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);
