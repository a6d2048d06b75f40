#include "platform.h"

#include <dlfcn.h>
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

#include "provider/provider.h"
#include "ssl_slots.h"

namespace keyless {

namespace {

// A worker's exit may unload an addon, but OpenSSL keeps pointers into this one (slots, provider) for ever.
void StayLoaded() {
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&StayLoaded), &self) == 0) return;
  dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

size_t PageSize() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// Twice what OpenSSL takes by default; only the pages that are touched count.
constexpr size_t kStackBytes = size_t{64} * 1024;

// One guard page below the stack (it grows down), so that an overflow is a fault and not silent corruption.
void* AllocateStack(size_t* size) {
  const size_t guard = PageSize();
  void* memory = mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (mprotect(memory, guard, PROT_NONE) != 0) {  // a process may have only so many mappings (vm.max_map_count)
    munmap(memory, guard + kStackBytes);
    return nullptr;
  }
  *size = kStackBytes;
  return static_cast<char*>(memory) + guard;
}

void FreeStack(void* stack) { munmap(static_cast<char*>(stack) - PageSize(), PageSize() + kStackBytes); }

// OpenSSL 3.2 and later; it is a no-op where a job has run already.
void GuardStacks() {
  using Allocate = void* (*)(size_t*);
  using Free = void (*)(void*);
  using SetMemFunctions = int (*)(Allocate, Free);
  void* symbol = dlsym(RTLD_DEFAULT, "ASYNC_set_mem_functions");
  if (symbol != nullptr) reinterpret_cast<SetMemFunctions>(symbol)(AllocateStack, FreeStack);
}

std::string Prepare() {
  const unsigned int major = OPENSSL_version_major();
  if (major != 3) {
    return "keyless-tls needs a Node.js built with OpenSSL 3, this one has " + std::string(OpenSSL_version(OPENSSL_VERSION)) +
           ". Use an official Node.js 20, 22, 24 or 26 build.";
  }
  if (ASYNC_is_capable() != 1) {
    return "OpenSSL has no async jobs on this system (musl libc, for example Alpine Linux, lacks what they need). Use "
           "a Node.js built for glibc, for example the node:22-slim image instead of node:22-alpine.";
  }
  StayLoaded();
  GuardStacks();
  if (!RegisterSlots()) return "OpenSSL has no ex_data slots left; another addon uses too many.";
  if (!LoadProvider()) return "OpenSSL refused the keyless provider; check OPENSSL_CONF and FIPS settings.";
  return "";
}

}  // namespace

const std::string& PreparePlatform() {
  static const std::string problem = Prepare();
  return problem;
}

}  // namespace keyless
