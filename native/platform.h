// Whether this process can pause a handshake at all, and what makes that safer where OpenSSL offers it.
#ifndef NATIVE_PLATFORM_H_
#define NATIVE_PLATFORM_H_

#include <string>

namespace keyless {

// Keeps the addon loaded, protects job stacks, registers slots and provider. Once per process, before any handshake.
// @return empty, or why keyless handshakes cannot work here and what to do
const std::string& PreparePlatform();

}  // namespace keyless

#endif  // NATIVE_PLATFORM_H_
