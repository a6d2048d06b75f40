// A user's pskCallback is JavaScript, and under RSA-PSK (RFC 4279 §4) OpenSSL asks for it in the middle of a job: a server
// in the message that it needs its RSA key for, a client in the flight that it signs. So callbacks of ours take Node's
// places for one step: they pause the job as an operation would, TypeScript lets Node put its own callbacks
// back (handle.enablePskCallback()), asks the user and decides.
#ifndef NATIVE_PSK_DECISION_H_
#define NATIVE_PSK_DECISION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "openssl/owners.h"

namespace keyless {

// Owner: its Handshake. Thread: the handshake's. States: idle -> pending -> idle.
class PskDecision {
 public:
  PskDecision() = default;
  ~PskDecision();
  PskDecision(const PskDecision&) = delete;
  PskDecision& operator=(const PskDecision&) = delete;

  // Puts our callbacks on the SSL.
  static void Impose(SSL* ssl);

  bool pending() const { return pending_; }
  // What the peer has sent, valid while pending: a client's identity, or a server's hint, if there is one.
  const std::optional<std::string>& told() const { return told_; }
  size_t max_psk_size() const { return max_psk_size_; }
  // Of a client's identity; 0: a server decides.
  size_t max_identity_size() const { return max_identity_size_; }
  // `psk` is copied, and wiped when OpenSSL has it; empty, or one of them too long: there is none, and the handshake fails.
  void Decide(const std::string& identity, const uint8_t* psk, size_t psk_size);

 private:
  static unsigned int OnServer(SSL* ssl, const char* identity, unsigned char* psk, unsigned int max_psk_size);
  static unsigned int OnClient(SSL* ssl, const char* hint, char* identity, unsigned int max_identity_size,
                               unsigned char* psk, unsigned int max_psk_size);
  void Await(const char* told, size_t max_identity_size, size_t max_psk_size);
  unsigned int TakePsk(unsigned char* psk);

  bool pending_ = false;
  std::optional<std::string> told_;
  size_t max_psk_size_ = 0;
  size_t max_identity_size_ = 0;
  std::string identity_;
  std::vector<uint8_t> psk_;
};

}  // namespace keyless

#endif  // NATIVE_PSK_DECISION_H_
