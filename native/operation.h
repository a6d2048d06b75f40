// One private-key operation of one handshake, from the moment OpenSSL asks until it has its answer.
#ifndef NATIVE_OPERATION_H_
#define NATIVE_OPERATION_H_

#include <openssl/crypto.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "key_record.h"

namespace keyless {

enum class OperationKind : uint8_t { kSign, kDecrypt };

// Owner: its Handshake. Thread: the handshake's. States, one way: kPending -> kSucceeded | kFailed.
struct Operation {
  enum class State : uint8_t { kPending, kSucceeded, kFailed };

  Operation() = default;
  Operation(Operation&&) = default;
  Operation& operator=(Operation&&) = default;
  ~Operation() { OPENSSL_cleanse(result.data(), result.size()); }  // it may be a premaster secret

  OperationKind kind = OperationKind::kSign;
  std::shared_ptr<const KeyRecord> key;
  const SignatureScheme* scheme = nullptr;  // kSign only
  uint16_t client_version = 0;              // kDecrypt only: what the premaster must start with
  uint16_t negotiated_version = 0;          // kDecrypt only: accepted as well where OpenSSL says so; 0: not
  std::vector<uint8_t> input;               // the message to sign, or the ciphertext
  State state = State::kPending;
  std::vector<uint8_t> result;
};

// Why a result was not taken. The numbers are the contract with lib/engine/addon.ts.
enum class ResultCheck : int { kAccepted = 0, kWrongSize = -1, kMalformed = -2, kBadSignature = -3, kNoOperation = -4 };

// Whether `size` bytes can be the result of this operation at all: size, and DER for ECDSA.
ResultCheck CheckShape(const Operation& operation, const uint8_t* data, size_t size);

// Whether the bytes are this key's signature over the operation's message.
bool VerifySignature(const Operation& operation, const uint8_t* data, size_t size);

}  // namespace keyless

#endif  // NATIVE_OPERATION_H_
