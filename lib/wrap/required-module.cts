/** ES modules of this package by `require()`, where Node.js may have been told not to load such. */

/** KeylessError is in an ES module, and cannot be had. */
function cannotBeRequired(cause: unknown): Error {
  const message =
    'keyless-tls consists of ES modules, which this Node.js does not load by require(): start it without ' +
    '--no-experimental-require-module (and, on Node.js 20, --experimental-network-imports). It needs Node.js 20.19 or later.';
  return Object.assign(new Error(message, { cause }), { name: 'KeylessError', code: 'ERR_KEYLESS_PLATFORM' });
}

/** @throws Error ERR_KEYLESS_PLATFORM, and what the module throws */
function load(name: string): void {
  try {
    require(name);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ERR_REQUIRE_ESM' ? cannotBeRequired(error) : error;
  }
}

module.exports = { load };
