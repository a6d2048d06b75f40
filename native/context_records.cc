#include "context_records.h"

#include "ssl_slots.h"

namespace keyless {

SSL_CTX* ContextNames::Find(uint32_t number) const {
  const auto found = contexts_.find(number);
  return found == contexts_.end() ? nullptr : found->second;
}

uint32_t ContextNames::Add(SSL_CTX* context) {
  do {
    last_ += 1;
  } while (last_ == 0 || contexts_.count(last_) != 0);
  contexts_.emplace(last_, context);
  return last_;
}

uint32_t NameContext(SSL_CTX* context, const std::shared_ptr<ContextNames>& names) {
  const ContextRecord* known = ContextSlot(context);
  if (known != nullptr) return known->number;
  auto record = std::make_unique<ContextRecord>();
  record->names = names;
  record->number = names->Add(context);
  const uint32_t number = record->number;
  if (SetContextSlot(context, record.get())) {
    record.release();  // OnContextFree deletes it
    return number;
  }
  names->Remove(number);
  return 0;
}

ContextRecord* RecordOf(const SSL_CTX* context) { return ContextSlot(context); }

}  // namespace keyless
