/** The single questions of `keyless-tls check`. Each answers with what it found, or throws with what to do. */
import type { X509Certificate } from 'node:crypto';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const HOUR_MS = 3_600_000;
const SOON_MS = 72 * HOUR_MS;

/** @param now milliseconds since 1970, by this machine's clock */
export function checkDates(certificate: X509Certificate, now: number): string {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const clock = `this machine's clock says ${new Date(now).toISOString()}`;
  if (now < from)
    throw new Error(`it is valid from ${certificate.validFrom}, and ${clock}. Set the clock, or wait.`);
  if (now > to)
    throw new Error(`it was valid until ${certificate.validTo}, and ${clock}. Renew it, or set the clock.`);
  const left = Math.floor((to - now) / HOUR_MS);
  return `until ${certificate.validTo}${to - now < SOON_MS ? `: only ${left} hours more, renew it` : ''}`;
}

const MAX_SKEW_MS = 30_000;

/** @param skewMs how far the key server's clock is ahead of ours; `undefined`: it does not say */
export function checkClock(skewMs: number | undefined): string {
  if (skewMs === undefined) return 'it does not say what time it is';
  const seconds = (Math.abs(skewMs) / 1000).toFixed(1);
  const where = skewMs > 0 ? 'ahead of' : 'behind';
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return `${seconds} s ${where} this machine's`;
  throw new Error(
    `it is ${seconds} s ${where} this machine's (${new Date().toISOString()}). One of the two is wrong: certificates count too ` +
      'early or too late there, and so do session-ticket keys. Set the clock (NTP).',
  );
}

export function checkUsage(certificate: X509Certificate): string {
  const usages = certificate.keyUsage as readonly string[] | undefined;
  if (usages === undefined) return 'for anything';
  if (usages.includes(CLIENT_AUTH)) return 'yes';
  throw new Error('its extended key usage does not allow client authentication. Issue one that does.');
}
