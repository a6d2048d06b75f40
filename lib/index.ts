export { configureEngine, type EngineSettings } from './engine/admission.ts';
export { Handshake, type HandshakeState } from './engine/handshake.ts';
export type { HandshakeOptions, TlsVersion } from './engine/handshake-options.ts';
export { type EngineStats, engineStats } from './engine/stats.ts';
export { ERROR_CODES, KeylessError, type KeylessErrorCode } from './errors.ts';
export type { FleetLease } from './fleet/channels.ts';
export type { RedisClient } from './fleet/session-backends.ts';
export {
  type SessionStore,
  type SessionStoreOptions,
  type SessionStoreStats,
  sessionStore,
} from './fleet/session-store.ts';
export {
  leaseTicketKeys,
  type TicketKeySource,
  type TicketLease,
  type TicketLeaseOptions,
  type TicketLeaseStats,
} from './fleet/ticket-lease.ts';
export { type IsolatedKeyOptions, isolatedKey } from './keepers/isolated-key.ts';
export { type LocalKeyOptions, localKey } from './keepers/local-key.ts';
export { type SshAgentKeyOptions, sshAgentKey } from './keepers/ssh-agent-key.ts';
export {
  connectKeyServers,
  type EdgeCredentials,
  type KeyServers,
  type KeyServersOptions,
  type KeyServersStats,
  type ResolveSrv,
  type ServerStats,
  type SrvRecord,
} from './keys/key-servers.ts';
export type { PemWithPassphrase } from './keys/open-key.ts';
export type {
  DecryptOperation,
  Operation,
  OperationContext,
  OperationResult,
  PrivateKey,
  SignatureScheme,
  SignOperation,
  VerifyPolicy,
} from './keys/private-key.ts';
export {
  createKeyServer,
  type KeyServer,
  type KeyServerOptions,
  type KeyServerStats,
} from './server/key-server.ts';
export type {
  KeyChange,
  KeyKind,
  KeyProblem,
  KeySelector,
  KeyStore,
  LiveKeyStore,
  SigningMethod,
  StoredKey,
} from './server/key-store.ts';
export {
  keyStoreOf,
  type PemDirectory,
  type PemDirectoryOptions,
  pemDirectory,
} from './server/pem-directory.ts';
export { pemKey } from './server/pem-key.ts';
export { type Pkcs11Options, pkcs11Token } from './server/stores/pkcs11-token.ts';
export { type SshAgentOptions, sshAgent } from './server/stores/ssh-agent.ts';
export type { TicketKeyOptions } from './server/ticket-keys.ts';
export {
  type ConnectionOptions,
  connect,
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type TlsOptions,
} from './tls.ts';
