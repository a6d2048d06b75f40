// The premaster secret of an RSA key exchange (RFC 5246 §7.4.7.1): whatever came back, 48 bytes go on, and neither an
// error nor the time taken tells whether the padding or the version was right.
#ifndef NATIVE_PREMASTER_H_
#define NATIVE_PREMASTER_H_

#include <cstddef>
#include <cstdint>

namespace keyless {

struct Operation;

inline constexpr size_t kPremasterBytes = 48;

// Writes 48 bytes to `out`: the premaster in operation.result when it is right, random ones otherwise (also when the
// operation failed). operation.result is a premaster of 48 bytes or a raw block of modulus size (RFC 8017 §7.2.2).
// @return false only when no random bytes can be had.
bool SelectPremaster(const Operation& operation, uint8_t out[kPremasterBytes]);

}  // namespace keyless

#endif  // NATIVE_PREMASTER_H_
