// Whether two distinguished names are the same one, as OpenSSL compares them when it verifies (RFC 5280 section 7.1).
#ifndef NATIVE_SAME_NAME_H_
#define NATIVE_SAME_NAME_H_

#include <stddef.h>
#include <stdint.h>

namespace keyless {

// Both in DER. False, too, for what is no name, or where there is no memory. Thread: any.
bool IsSameName(const uint8_t* one, size_t one_bytes, const uint8_t* other, size_t other_bytes);

}  // namespace keyless

#endif  // NATIVE_SAME_NAME_H_
