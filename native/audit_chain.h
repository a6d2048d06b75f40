// The digests of the audit log's lines, a turn's in one go: what a line is says lib/server/audit-record.ts.
#ifndef NATIVE_AUDIT_CHAIN_H_
#define NATIVE_AUDIT_CHAIN_H_

#include <stddef.h>
#include <stdint.h>

namespace keyless {

// Writes the digest of each line where the line begins, and a space after it. `ends`: where each line is over, its line feed
// included; each has room for both. `head`: the digest that the first one builds on, and then the last one's, 32 bytes.
// Returns false, and the lines are not to be used, where they do not have that form or there is no memory. Thread: any.
bool ChainLines(uint8_t* lines, size_t bytes, const uint32_t* ends, size_t count, uint8_t* head);

}  // namespace keyless

#endif  // NATIVE_AUDIT_CHAIN_H_
