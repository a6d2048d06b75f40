/** `node --require keyless-tls/register app.js`, which is a file that CommonJS can always load: register.ts is the module. */
require('./required-module.cjs').load('./register.js');
