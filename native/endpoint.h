// A TLS endpoint without a socket: bytes in, bytes out, over memory BIOs, on the same Handshake as Node's sockets.
#ifndef NATIVE_ENDPOINT_H_
#define NATIVE_ENDPOINT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "handshake.h"

namespace keyless {

struct EndpointOptions {
  bool server = true;
  std::vector<std::string> certificate_chains;  // PEM, leaf first
  std::string ca;                               // PEM; empty: the peer is not verified
  std::optional<std::string> ciphers;           // up to TLS 1.2, OpenSSL's syntax; empty: none; nothing: its default
  std::string cipher_suites;                    // of TLS 1.3; empty: OpenSSL's default
  std::string sigalgs;
  std::string groups;
  std::string servername;        // clients: sent
  std::string certificate_name;  // clients: the host name or IP address that the server's certificate must be for
  std::vector<uint8_t> alpn;     // ProtocolNameList without its length
  int min_version = 0;
  int max_version = 0;
  bool request_certificate = false;
};

// Owner: the environment. Thread: its own. States: configured (keys may be added to `context()`) -> started.
class Endpoint {
 public:
  // nullptr: OpenSSL refused something; its error queue says what.
  static std::unique_ptr<Endpoint> Make(const EndpointOptions& options);
  ~Endpoint();

  SSL_CTX* context() const { return context_.get(); }
  SSL* ssl() const { return ssl_.get(); }
  bool Start();
  void set_handshake(std::shared_ptr<Handshake> handshake) { handshake_ = std::move(handshake); }
  Handshake* handshake() const { return handshake_.get(); }

  // All of it or nothing. @return false: OpenSSL keeps no more of what is not read yet (some 1.6 GB)
  bool Feed(const uint8_t* data, size_t size);
  // What is to be sent to the peer.
  std::vector<uint8_t> Drain();
  // Application data, after the handshake. @return bytes, 0 at the peer's close_notify, negative: none now, or failed
  int Read(uint8_t* data, size_t size);
  bool Write(const uint8_t* data, size_t size);

 private:
  Endpoint() = default;
  bool Configure(const EndpointOptions& options);
  static int OnAlpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void* endpoint);

  EndpointOptions options_;
  // Destroyed from the last to the first: the handshake lets go of the SSL, the SSL of the context.
  SslCtxOwner context_;
  SslOwner ssl_;
  std::shared_ptr<Handshake> handshake_;
};

}  // namespace keyless

#endif  // NATIVE_ENDPOINT_H_
