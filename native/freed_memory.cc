#include "freed_memory.h"

#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <mutex>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace keyless {

namespace {

#if defined(__GLIBC__)

std::mutex mutex;
int wipers = 0;

// Any byte but 0, which is "off".
constexpr int kFiller = 0x5a;
// What malloc keeps of freed memory for its thread: chunks of 16 bytes more each, up to 1,032, so many of each size. It is not
// overwritten.
constexpr size_t kLargestKept = 1032;
constexpr size_t kStep = 16;
constexpr int kKept = 7;

// On the stack, as there may be no memory for a list of memory.
void WipeKept() {
  std::array<void*, kLargestKept / kStep * kKept> taken{};
  size_t count = 0;
  for (size_t size = kStep + kStep / 2; size <= kLargestKept; size += kStep) {
    for (int at = 0; at < kKept; ++at) {
      void* const chunk = std::malloc(size);
      if (chunk == nullptr) continue;
      OPENSSL_cleanse(chunk, size);
      taken[count++] = chunk;
    }
  }
  while (count > 0) std::free(taken[--count]);
}

#endif

}  // namespace

FreedMemoryWiper::FreedMemoryWiper() {
#if defined(__GLIBC__)
  const std::lock_guard<std::mutex> lock(mutex);
  if (++wipers == 1) mallopt(M_PERTURB, kFiller);
#endif
}

FreedMemoryWiper::~FreedMemoryWiper() {
#if defined(__GLIBC__)
  WipeKept();
  const std::lock_guard<std::mutex> lock(mutex);
  if (--wipers == 0) mallopt(M_PERTURB, 0);
#endif
}

}  // namespace keyless
