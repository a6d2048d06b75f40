export { ERROR_CODES, KeylessError, type KeylessErrorCode } from './errors.ts';
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
