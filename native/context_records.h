// What the addon keeps with an SSL_CTX, and how TypeScript names one: by a number, so that a late call finds nothing
// rather than something freed.
#ifndef NATIVE_CONTEXT_RECORDS_H_
#define NATIVE_CONTEXT_RECORDS_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "ticket_keys.h"

namespace keyless {

// Shared by an environment and the records of its contexts, of which some outlive it. Thread: the environment's.
class ContextNames {
 public:
  // nullptr: it was freed, or there never was one.
  SSL_CTX* Find(uint32_t number) const;
  void Remove(uint32_t number) { contexts_.erase(number); }
  uint32_t Add(SSL_CTX* context);

 private:
  std::unordered_map<uint32_t, SSL_CTX*> contexts_;
  uint32_t last_ = 0;
};

// Owner: the SSL_CTX, by its ex_data slot. Thread: the environment's.
struct ContextRecord {
  std::shared_ptr<ContextNames> names;
  uint32_t number = 0;
  TicketKeys ticket_keys;
};

// Gives the SSL_CTX a record, once. @return its number; 0: there is no memory for it
uint32_t NameContext(SSL_CTX* context, const std::shared_ptr<ContextNames>& names);
// nullptr: it has none.
ContextRecord* RecordOf(const SSL_CTX* context);

}  // namespace keyless

#endif  // NATIVE_CONTEXT_RECORDS_H_
