#include "premaster.h"

#include <openssl/rand.h>

#include <cstring>
#include <vector>

#include "operation.h"

namespace keyless {

namespace {

// All ones when x is zero, else zero; no branch on x.
uint8_t ZeroMask(uint32_t x) {
  return static_cast<uint8_t>(static_cast<int32_t>(~x & (x - 1)) >> 31);
}

uint8_t EqualMask(uint8_t a, uint8_t b) { return ZeroMask(static_cast<uint32_t>(a ^ b)); }

uint8_t VersionMask(const uint8_t* premaster, uint16_t version) {
  return EqualMask(premaster[0], static_cast<uint8_t>(version >> 8)) &
         EqualMask(premaster[1], static_cast<uint8_t>(version & 0xff));
}

// 0x00 0x02, padding without a zero, 0x00, then exactly 48 bytes: the only form a premaster has (RFC 8017 §7.2.1).
uint8_t PaddingMask(const uint8_t* block, size_t size) {
  const size_t separator = size - kPremasterBytes - 1;
  uint8_t good = EqualMask(block[0], 0) & EqualMask(block[1], 2) & EqualMask(block[separator], 0);
  for (size_t i = 2; i < separator; i++) good &= static_cast<uint8_t>(~EqualMask(block[i], 0));
  return good;
}

// Two bytes of type, at least eight of padding, one separator.
constexpr size_t kMinRawBlockBytes = 2 + 8 + 1 + kPremasterBytes;

}  // namespace

bool SelectPremaster(const Operation& operation, uint8_t out[kPremasterBytes]) {
  if (RAND_bytes(out, kPremasterBytes) != 1) return false;

  // A failed operation goes the same way, over a block that cannot be right.
  static constexpr uint8_t kNothing[kPremasterBytes] = {};
  const bool answered = operation.state == Operation::State::kSucceeded;
  const uint8_t* block = answered ? operation.result.data() : kNothing;
  const size_t size = answered ? operation.result.size() : sizeof(kNothing);

  uint8_t good = answered ? 0xff : 0x00;
  const bool raw = size != kPremasterBytes;
  if (raw && size < kMinRawBlockBytes) return true;
  if (raw) good &= PaddingMask(block, size);
  const uint8_t* premaster = block + (size - kPremasterBytes);
  uint8_t version = VersionMask(premaster, operation.client_version);
  if (operation.negotiated_version != 0) version |= VersionMask(premaster, operation.negotiated_version);
  good &= version;
  for (size_t i = 0; i < kPremasterBytes; i++) {
    out[i] = static_cast<uint8_t>((out[i] & ~good) | (premaster[i] & good));
  }
  return true;
}

}  // namespace keyless
