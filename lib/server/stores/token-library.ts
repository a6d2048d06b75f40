/**
 * A PKCS#11 module (v2.40), loaded with pkcs11js: finding the token, logging in. Every call blocks: this is for the
 * process of token-process-main.ts alone.
 */
import type { Handle, PKCS11 } from 'pkcs11js';
import { escapePeerText } from '../../protocol/peer-text.ts';
import { type FailureReason, type OpenTask, TokenError } from './token-tasks.ts';

export interface OpenToken {
  readonly module: PKCS11;
  readonly slot: Handle;
  readonly session: Handle;
}

const CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191;
const CKR_USER_ALREADY_LOGGED_IN = 0x100;
/** Incorrect, invalid, of a wrong length, expired, locked. */
const PIN_ERRORS: readonly number[] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4];
const CKF_SERIAL_SESSION = 4;
const CKF_LOGIN_REQUIRED = 4;
const CKF_TOKEN_INITIALIZED = 0x400;
const CKU_USER = 1;

/** CKR_… of an error of the module; 0: it is none. */
export function returnCode(error: unknown): number {
  const { code } = error as { code?: unknown };
  return typeof code === 'number' ? code : 0;
}

/** The module's words are constants (CKR_…) or those of the dynamic linker. */
export function tokenError(reason: FailureReason, what: string, error: unknown): TokenError {
  return new TokenError(reason, `${what}: ${escapePeerText((error as Error).message)}`);
}

async function newModule(): Promise<PKCS11> {
  try {
    const { default: pkcs11js } = await import('pkcs11js');
    return new pkcs11js.PKCS11();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    if (!missing) throw tokenError('setup', 'The package pkcs11js cannot be loaded', error);
    throw new TokenError('setup', 'The package pkcs11js is not installed: npm install pkcs11js');
  }
}

async function load(library: string): Promise<PKCS11> {
  const module = await newModule();
  try {
    module.load(library);
    module.C_Initialize();
  } catch (error) {
    if (returnCode(error) !== CKR_CRYPTOKI_ALREADY_INITIALIZED) {
      throw tokenError('setup', `The PKCS#11 module ${library} cannot be loaded`, error);
    }
  }
  return module;
}

interface FoundToken {
  readonly slot: Handle;
  readonly number: number;
  readonly label: string;
  readonly flags: number;
}

function tokensOf(module: PKCS11): FoundToken[] {
  return module.C_GetSlotList(true).flatMap((slot) => {
    const { label, flags } = module.C_GetTokenInfo(slot);
    const found = { slot, number: slot.readUInt32LE(0), label: label.replace(/[ \0]+$/, ''), flags };
    return (flags & CKF_TOKEN_INITIALIZED) === 0 ? [] : found;
  });
}

function describe(tokens: readonly FoundToken[]): string {
  const names = tokens.slice(0, 8).map(({ label, number }) => `"${escapePeerText(label)}" in slot ${number}`);
  return names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`;
}

function findToken(module: PKCS11, { token, slot }: OpenTask): FoundToken {
  const all = tokensOf(module);
  const fits = all.filter(
    ({ label, number }) => (token ?? label) === label && (slot === undefined || slot === number),
  );
  const [found] = fits;
  if (found !== undefined && fits.length === 1) return found;
  const wish = [
    token === undefined ? '' : ` labelled "${escapePeerText(token)}"`,
    slot === undefined ? '' : ` in slot ${slot}`,
  ].join('');
  const which = found === undefined ? `No token${wish}` : `More than one token${wish}`;
  throw new TokenError('setup', `${which}: ${describe(all)}`);
}

function logIn(module: PKCS11, session: Handle, { flags, label }: FoundToken, pin: string | undefined): void {
  const name = `the token "${escapePeerText(label)}"`;
  if (pin === undefined) {
    if ((flags & CKF_LOGIN_REQUIRED) === 0) return;
    throw new TokenError('setup', `No PIN was given, and ${name} asks for one`);
  }
  try {
    module.C_Login(session, CKU_USER, pin);
  } catch (error) {
    const code = returnCode(error);
    if (code === CKR_USER_ALREADY_LOGGED_IN) return;
    if (PIN_ERRORS.includes(code)) throw tokenError('pin', `The PIN was not accepted by ${name}`, error);
    throw tokenError('setup', `Logging in to ${name} failed`, error);
  }
}

/** @throws TokenError */
export async function openToken(task: OpenTask): Promise<OpenToken> {
  const module = await load(task.library);
  try {
    const token = findToken(module, task);
    const session = module.C_OpenSession(token.slot, CKF_SERIAL_SESSION);
    logIn(module, session, token, task.pin);
    return { module, slot: token.slot, session };
  } catch (error) {
    if (error instanceof TokenError) throw error;
    throw tokenError('setup', 'The token cannot be opened', error);
  }
}
