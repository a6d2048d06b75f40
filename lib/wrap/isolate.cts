/** `node --require keyless-tls/isolate app.js`, which is a file that CommonJS can always load: isolate.ts is the module. */
require('./required-module.cjs').load('./isolate.js');
