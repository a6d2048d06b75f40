#include "endpoint.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <climits>
#include <utility>

namespace keyless {

namespace {

BioOwner ReadOnlyBio(const std::string& text) {
  return BioOwner(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// What a reader of PEM ends with also where nothing is wrong.
bool IsEndOfText(unsigned long error) {  // NOLINT(runtime/int)
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

// OpenSSL's own asks at the terminal, and waits.
int NoPassphrase(char*, int, int, void*) { return -1; }

// Returns whether there are certificates, and each of them is whole and was taken.
template <typename Take>
bool TakeCertificates(const std::string& text, Take take) {
  const BioOwner pem = ReadOnlyBio(text);
  bool found = false;
  while (const X509Owner certificate = X509Owner(PEM_read_bio_X509(pem.get(), nullptr, NoPassphrase, nullptr))) {
    if (!take(certificate.get())) return false;
    found = true;
  }
  if (!found || !IsEndOfText(ERR_peek_last_error())) return false;
  ERR_clear_error();
  return true;
}

bool UseChain(SSL_CTX* context, const std::string& text) {
  bool is_leaf = true;
  return TakeCertificates(text, [&](X509* certificate) {
    if (!std::exchange(is_leaf, false)) return SSL_CTX_add1_chain_cert(context, certificate) == 1;
    return SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_clear_chain_certs(context) == 1;
  });
}

bool UseAuthorities(SSL_CTX* context, const std::string& text) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  return TakeCertificates(text, [&](X509* authority) {
    return X509_STORE_add_cert(store, authority) == 1 && SSL_CTX_add_client_CA(context, authority) == 1;
  });
}

// OpenSSL takes an empty list, and says that nothing fits.
bool UseCiphers(SSL_CTX* context, const EndpointOptions& options) {
  const std::string& suites = options.cipher_suites;
  if (!suites.empty() && SSL_CTX_set_ciphersuites(context, suites.c_str()) != 1) return false;
  if (!options.ciphers.has_value() || SSL_CTX_set_cipher_list(context, options.ciphers->c_str()) == 1) return true;
  if (!options.ciphers->empty()) return false;
  ERR_clear_error();
  return true;
}

}  // namespace

std::unique_ptr<Endpoint> Endpoint::Make(const EndpointOptions& options) {
  std::unique_ptr<Endpoint> endpoint(new Endpoint());
  endpoint->options_ = options;
  endpoint->context_.reset(SSL_CTX_new(options.server ? TLS_server_method() : TLS_client_method()));
  if (endpoint->context_ == nullptr || !endpoint->Configure(options)) return nullptr;
  return endpoint;
}

Endpoint::~Endpoint() {
  if (handshake_ != nullptr) handshake_->Dispose();
}

bool Endpoint::Configure(const EndpointOptions& options) {
  SSL_CTX* context = context_.get();
  for (const std::string& chain : options.certificate_chains) {
    if (!UseChain(context, chain)) return false;
  }
  if (!options.ca.empty() && !UseAuthorities(context, options.ca)) return false;
  if (options.server && !options.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, OnAlpn, this);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  int verify = SSL_VERIFY_NONE;
  if (!options.server && !options.ca.empty()) verify = SSL_VERIFY_PEER;
  if (options.server && options.request_certificate) verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context, verify, nullptr);
  return (options.min_version == 0 || SSL_CTX_set_min_proto_version(context, options.min_version) == 1) &&
         (options.max_version == 0 || SSL_CTX_set_max_proto_version(context, options.max_version) == 1) &&
         UseCiphers(context, options) &&
         (options.sigalgs.empty() || SSL_CTX_set1_sigalgs_list(context, options.sigalgs.c_str()) == 1) &&
         (options.groups.empty() || SSL_CTX_set1_groups_list(context, options.groups.c_str()) == 1);
}

bool Endpoint::Start() {
  ssl_.reset(SSL_new(context_.get()));
  BIO* input = BIO_new(BIO_s_mem());
  BIO* output = BIO_new(BIO_s_mem());
  if (ssl_ == nullptr || input == nullptr || output == nullptr) {
    BIO_free(input);
    BIO_free(output);
    return false;
  }
  SSL_set_bio(ssl_.get(), input, output);
  if (options_.server) {
    SSL_set_accept_state(ssl_.get());
    return true;
  }
  SSL_set_connect_state(ssl_.get());
  if (!options_.alpn.empty() && SSL_set_alpn_protos(ssl_.get(), options_.alpn.data(),
                                                    static_cast<unsigned int>(options_.alpn.size())) != 0) {
    return false;
  }
  const std::string& sent = options_.servername;
  const std::string& checked = options_.certificate_name;
  return (sent.empty() || SSL_set_tlsext_host_name(ssl_.get(), sent.c_str()) == 1) &&
         (checked.empty() || SSL_set1_host(ssl_.get(), checked.c_str()) == 1);
}

int Endpoint::OnAlpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                     unsigned int in_size, void* endpoint) {
  const std::vector<uint8_t>& mine = static_cast<Endpoint*>(endpoint)->options_.alpn;
  const int status = SSL_select_next_proto(const_cast<unsigned char**>(out), out_size, mine.data(),
                                           static_cast<unsigned int>(mine.size()), in, in_size);
  return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool Endpoint::Feed(const uint8_t* data, size_t size) {
  ERR_clear_error();
  if (size == 0) return true;
  size_t written = 0;
  return BIO_write_ex(SSL_get_rbio(ssl_.get()), data, size, &written) == 1 && written == size;
}

std::vector<uint8_t> Endpoint::Drain() {
  BIO* output = SSL_get_wbio(ssl_.get());
  std::vector<uint8_t> bytes(BIO_pending(output));
  if (!bytes.empty()) BIO_read(output, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

int Endpoint::Read(uint8_t* data, size_t size) {
  ERR_clear_error();
  const int count = SSL_read(ssl_.get(), data, static_cast<int>(size));
  if (count > 0) return count;
  return SSL_get_error(ssl_.get(), count) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

bool Endpoint::Write(const uint8_t* data, size_t size) {
  ERR_clear_error();
  if (size > INT_MAX) {
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    return false;
  }
  return SSL_write(ssl_.get(), data, static_cast<int>(size)) > 0;
}

}  // namespace keyless
