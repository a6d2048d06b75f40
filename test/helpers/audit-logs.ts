/** Audit logs in folders of the test's own, which go with it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditLog, type AuditLogOptions } from '../../lib/server/audit-log.ts';

const folders: string[] = [];

export function auditFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'keyless-tls-audit-'));
  folders.push(path);
  return path;
}

/** For `afterEach`. */
export function removeAuditFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export function openAuditLog(directory: string, more: Partial<AuditLogOptions> = {}): AuditLog {
  const onFailure = (error: Error) => assert.fail(error);
  return new AuditLog({ directory, onFailure, wallClock: () => 0, ...more });
}
