// Keys and the contexts they are given to.
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string>
#include <vector>

#include "binding.h"
#include "freed_memory.h"
#include "openssl/error_guard.h"
#include "peer_limits.h"
#include "provider/provider.h"
#include "session_lifetime.h"
#include "session_names.h"
#include "ssl_slots.h"

namespace keyless {

namespace {

// The numbers are the contract with lib/engine/addon.ts.
enum class KeyProblem : int { kNoContext = -1, kUnsupportedKey = -3, kMismatch = -4 };

Napi::Value Problem(const Napi::CallbackInfo& info, KeyProblem problem) {
  return Napi::Number::New(info.Env(), static_cast<int>(problem));
}

// wipeFreed(work): what work() returns, or throws. What is freed meanwhile is overwritten.
Napi::Value WipeFreed(const Napi::CallbackInfo& info) {
  const FreedMemoryWiper wiper;
  return info[0].As<Napi::Function>().Call({});
}

// beginContext(): the next SSL_CTX made on this thread is the one useKey() gives its key to.
Napi::Value BeginContext(const Napi::CallbackInfo& info) {
  ForgetLastSslCtx();
  return info.Env().Undefined();
}

X509Owner ParseCertificate(const Napi::Uint8Array& der) {
  const uint8_t* data = der.Data();
  return X509Owner(d2i_X509(nullptr, &data, static_cast<long>(der.ByteLength())));  // NOLINT(runtime/int)
}

PkeyOwner ParsePublicKey(const Napi::Uint8Array& spki) {
  const uint8_t* data = spki.Data();
  return PkeyOwner(d2i_PUBKEY(nullptr, &data, static_cast<long>(spki.ByteLength())));  // NOLINT(runtime/int)
}

// useKey(spki, digests, pss, decrypts, becomesCurrent): gives the last context a keyless key for the certificate it already
// has, or for one that it may get. It becomes the current one, or leaves the current certificate as it is.
// Returns the key's number, or a KeyProblem.
Napi::Value UseKey(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  SSL_CTX* context = LastSslCtx();
  if (context == nullptr) return Problem(info, KeyProblem::kNoContext);
  PkeyOwner public_key = ParsePublicKey(info[0].As<Napi::Uint8Array>());
  KeyType type;
  if (public_key == nullptr || !KeyTypeOf(public_key.get(), &type)) return Problem(info, KeyProblem::kUnsupportedKey);

  Environment* environment = Environment::Of(info);
  const KeyAbilities abilities{info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Boolean>().Value(),
                               info[3].As<Napi::Boolean>().Value()};
  const uint32_t number = environment->NextKeyNumber();
  const PkeyOwner key = MakeKeylessKey(std::make_shared<const KeyRecord>(number, type, std::move(public_key), abilities,
                                                                         environment->released_keys()));
  if (key == nullptr) return Problem(info, KeyProblem::kUnsupportedKey);
  X509* const current = SSL_CTX_get0_certificate(context);
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return Problem(info, KeyProblem::kMismatch);
  if (!info[4].As<Napi::Boolean>().Value() && current != nullptr) SSL_CTX_select_current_cert(context, current);
  SSL_CTX_set_cert_cb(context, Handshake::OnCertificate, nullptr);
  return Napi::Number::New(info.Env(), number);
}

Napi::Value DerOfCertificate(Napi::Env env, X509* certificate) {
  uint8_t* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return env.Undefined();
  const Napi::Value bytes = Napi::Buffer<uint8_t>::Copy(env, der, static_cast<size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

// PKCS#8; the caller wipes it.
Napi::Value DerOfKey(Napi::Env env, EVP_PKEY* key) {
  PKCS8_PRIV_KEY_INFO* info = EVP_PKEY2PKCS8(key);
  uint8_t* der = nullptr;
  const int size = info == nullptr ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);
  PKCS8_PRIV_KEY_INFO_free(info);  // wipes its copy
  if (size <= 0) return env.Undefined();
  const Napi::Value bytes = Napi::Buffer<uint8_t>::Copy(env, der, static_cast<size_t>(size));
  OPENSSL_clear_free(der, static_cast<size_t>(size));
  return bytes;
}

void AddKey(Napi::Array found, X509* certificate, EVP_PKEY* key) {
  const Napi::Value certificate_der = DerOfCertificate(found.Env(), certificate);
  const Napi::Value key_der = DerOfKey(found.Env(), key);
  if (!certificate_der.IsBuffer() || !key_der.IsBuffer()) return;
  found[found.Length()] = certificate_der;
  found[found.Length()] = key_der;
}

// A key without a certificate has no other way to become the current one.
void SelectKey(SSL_CTX* context, EVP_PKEY* key) {
  // OpenSSL lets go of the old key first, which is this one.
  EVP_PKEY_up_ref(key);
  const PkeyOwner owner(key);
  SSL_CTX_use_PrivateKey(context, key);
}

// Of those with a private key, one after the other; what is current stays so.
template <typename Visit>
void VisitCertificates(SSL_CTX* context, Visit visit) {
  X509* const current = SSL_CTX_get0_certificate(context);
  EVP_PKEY* const current_key = SSL_CTX_get0_privatekey(context);
  for (long which = SSL_CERT_SET_FIRST; SSL_CTX_set_current_cert(context, which) == 1;  // NOLINT(runtime/int)
       which = SSL_CERT_SET_NEXT) {
    visit(SSL_CTX_get0_certificate(context), SSL_CTX_get0_privatekey(context));
  }
  if (current != nullptr) {
    SSL_CTX_select_current_cert(context, current);
  } else if (current_key != nullptr) {
    SelectKey(context, current_key);
  }
}

// nativeKeys(): of the last context, the certificates that have a private key of OpenSSL's own, each with that key:
// [certificate, PKCS#8, ...], DER. The context's current certificate comes last; what is current stays so.
Napi::Value NativeKeys(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  Napi::Array found = Napi::Array::New(info.Env());
  SSL_CTX* context = LastSslCtx();
  if (context == nullptr) return found;
  X509* const current = SSL_CTX_get0_certificate(context);
  VisitCertificates(context, [&](X509* certificate, EVP_PKEY* key) {
    if (certificate != current) AddKey(found, certificate, key);
  });
  EVP_PKEY* const current_key = SSL_CTX_get0_privatekey(context);
  if (current != nullptr && current_key != nullptr) AddKey(found, current, current_key);
  return found;
}

Napi::Value KeyIdOf(Napi::Env env, const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (certificate == nullptr || X509_pubkey_digest(certificate, EVP_sha1(), digest, &size) != 1) return env.Undefined();
  return Napi::Buffer<uint8_t>::Copy(env, digest, size);
}

// keyIdsOfContext(number): as keyId(), of the certificates that the context has keys for, whosever these are.
Napi::Value KeyIdsOfContext(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  Napi::Array found = Napi::Array::New(info.Env());
  SSL_CTX* context = Environment::Of(info)->context_names()->Find(IdArgument(info));
  if (context == nullptr) return found;
  VisitCertificates(context, [&](X509* certificate, EVP_PKEY*) {
    const Napi::Value key_id = KeyIdOf(found.Env(), certificate);
    if (key_id.IsBuffer()) found[found.Length()] = key_id;
  });
  return found;
}

using Ders = std::vector<std::vector<uint8_t>>;

template <typename T>
void AddDer(Ders* ders, T* object, int (*encode)(const T*, unsigned char**)) {
  unsigned char* der = nullptr;
  const int size = encode(object, &der);
  if (size > 0) ders->emplace_back(der, der + size);
  OPENSSL_free(der);
}

// Other threads may have the store too: the one that Node makes of its own authorities.
class StoreLock {
 public:
  explicit StoreLock(X509_STORE* store) : store_(store) { X509_STORE_lock(store_); }
  ~StoreLock() { X509_STORE_unlock(store_); }
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;

 private:
  X509_STORE* store_;
};

// @param certificates nullptr: they do not matter
void ReadStore(X509_STORE* store, Ders* certificates, Ders* lists) {
  const StoreLock lock(store);
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store);
  for (int at = 0; at < sk_X509_OBJECT_num(objects); at += 1) {
    X509_OBJECT* const object = sk_X509_OBJECT_value(objects, at);
    X509* const certificate = X509_OBJECT_get0_X509(object);
    X509_CRL* const list = X509_OBJECT_get0_X509_CRL(object);
    // With what a TRUSTED CERTIFICATE says it is for.
    if (certificate != nullptr && certificates != nullptr) AddDer<X509>(certificates, certificate, i2d_X509_AUX);
    if (list != nullptr) AddDer<X509_CRL>(lists, list, i2d_X509_CRL);
  }
}

Napi::Array BuffersOf(Napi::Env env, const Ders& ders) {
  Napi::Array buffers = Napi::Array::New(env);
  for (const auto& der : ders) buffers[buffers.Length()] = Napi::Buffer<uint8_t>::Copy(env, der.data(), der.size());
  return buffers;
}

// trustOfContext(number, ownAuthorities): [certificates, revocation lists, security level] by which the context verifies its
// peers; DER. The level counts for their keys and signatures, too.
// undefined in the place of the certificates: they are Node's own, and neither `ca` nor a PKCS#12 file has added to them.
Napi::Value TrustOfContext(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  SSL_CTX* context = Environment::Of(info)->context_names()->Find(IdArgument(info));
  if (context == nullptr) return info.Env().Undefined();
  // Node names to clients whomever it adds.
  const bool is_own =
      info[1].As<Napi::Boolean>().Value() || sk_X509_NAME_num(SSL_CTX_get_client_CA_list(context)) > 0;
  Ders certificates;
  Ders lists;
  ReadStore(SSL_CTX_get_cert_store(context), is_own ? &certificates : nullptr, &lists);
  Napi::Array trust = Napi::Array::New(info.Env());
  trust[0u] = is_own ? Napi::Value(BuffersOf(info.Env(), certificates)) : info.Env().Undefined();
  trust[1u] = BuffersOf(info.Env(), lists);
  trust[2u] = SSL_CTX_get_security_level(context);
  return trust;
}

int CopyPassphrase(char* buffer, int size, int, void* given) {
  const auto* passphrase = static_cast<const std::string*>(given);
  if (passphrase == nullptr || passphrase->size() > static_cast<size_t>(size)) return -1;
  passphrase->copy(buffer, passphrase->size());
  return static_cast<int>(passphrase->size());
}

// keyOfPem(pem, passphrase): the private key in a text, [SPKI, PKCS#8], DER; empty: there is none. The caller wipes it.
Napi::Value KeyOfPem(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  Napi::Array found = Napi::Array::New(info.Env());
  const auto pem = info[0].As<Napi::Uint8Array>();
  std::string passphrase = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : std::string();
  const BioOwner bio(BIO_new_mem_buf(pem.Data(), static_cast<int>(pem.ByteLength())));
  const PkeyOwner key(PEM_read_bio_PrivateKey(bio.get(), nullptr, CopyPassphrase, info[1].IsString() ? &passphrase : nullptr));
  OPENSSL_cleanse(passphrase.data(), passphrase.size());
  if (key == nullptr) return found;
  uint8_t* spki = nullptr;
  const int size = i2d_PUBKEY(key.get(), &spki);
  const Napi::Value key_der = DerOfKey(info.Env(), key.get());
  if (size > 0 && key_der.IsBuffer()) {
    found[found.Length()] = Napi::Buffer<uint8_t>::Copy(info.Env(), spki, static_cast<size_t>(size));
    found[found.Length()] = key_der;
  }
  OPENSSL_free(spki);
  return found;
}

// nameContext(): the number by which the last context is known from now on; 0: there is none.
Napi::Value NameLastContext(const Napi::CallbackInfo& info) {
  SSL_CTX* context = LastSslCtx();
  const uint32_t number = context == nullptr ? 0 : NameContext(context, Environment::Of(info)->context_names());
  return Napi::Number::New(info.Env(), number);
}

// limitPeers(bytes): see LimitPeers(); for the last context. Returns whether there is one.
Napi::Value LimitLastContext(const Napi::CallbackInfo& info) {
  SSL_CTX* context = LastSslCtx();
  if (context != nullptr) LimitPeers(context, info[0].As<Napi::Number>().Uint32Value());
  return Napi::Boolean::New(info.Env(), context != nullptr);
}

// nameSessions(): see NameSessions(); for the last context. Returns whether there is one.
Napi::Value NameSessionsOfLast(const Napi::CallbackInfo& info) {
  SSL_CTX* context = LastSslCtx();
  if (context != nullptr) NameSessions(context);
  return Napi::Boolean::New(info.Env(), context != nullptr);
}

// setTicketKeys(number, keys): 48 bytes each, the first encrypts and all decrypt, also for connections there are. Returns
// false if the context has gone.
Napi::Value SetTicketKeys(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  SSL_CTX* context = Environment::Of(info)->context_names()->Find(IdArgument(info));
  if (context == nullptr) return Napi::Boolean::New(info.Env(), false);
  const auto keys = info[1].As<Napi::Uint8Array>();
  RecordOf(context)->ticket_keys.Set(keys.Data(), keys.ByteLength());
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, TicketKeys::OnTicket);
  LimitSessions(context);
  return Napi::Boolean::New(info.Env(), true);
}

// keyId(certificateDer): SHA-1 over the content of the subjectPublicKey bit string (RFC 5280 §4.2.1.2).
Napi::Value KeyId(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  return KeyIdOf(info.Env(), ParseCertificate(info[0].As<Napi::Uint8Array>()).get());
}

// takeReleasedKey(): the number of a key that no OpenSSL object refers to any more; 0: there is no further one.
Napi::Value TakeReleasedKey(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Environment::Of(info)->released_keys()->TakeOne());
}

}  // namespace

void ExportContexts(const CopyFunctions& functions) {
  functions.Add("beginContext", BeginContext);
  functions.Add("useKey", UseKey);
  functions.Add("keyOfPem", KeyOfPem);
  functions.Add("wipeFreed", WipeFreed);
  functions.Add("nativeKeys", NativeKeys);
  functions.Add("nameContext", NameLastContext);
  functions.Add("limitPeers", LimitLastContext);
  functions.Add("nameSessions", NameSessionsOfLast);
  functions.Add("setTicketKeys", SetTicketKeys);
  functions.Add("keyId", KeyId);
  functions.Add("keyIdsOfContext", KeyIdsOfContext);
  functions.Add("trustOfContext", TrustOfContext);
  functions.Add("takeReleasedKey", TakeReleasedKey);
}

}  // namespace keyless
