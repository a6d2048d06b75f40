// Owning pointers for OpenSSL's C handles: every handle in this addon has exactly one of these as its owner.
#ifndef NATIVE_OPENSSL_OWNERS_H_
#define NATIVE_OPENSSL_OWNERS_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

namespace keyless {

template <typename T, void (*Free)(T*)>
struct FreeWith {
  void operator()(T* handle) const { Free(handle); }
};

template <typename T, void (*Free)(T*)>
using Owner = std::unique_ptr<T, FreeWith<T, Free>>;

using BioOwner = Owner<BIO, BIO_free_all>;
using PkeyOwner = Owner<EVP_PKEY, EVP_PKEY_free>;
using PkeyCtxOwner = Owner<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using MdOwner = Owner<EVP_MD, EVP_MD_free>;
using MdCtxOwner = Owner<EVP_MD_CTX, EVP_MD_CTX_free>;
using SslOwner = Owner<SSL, SSL_free>;
using SslCtxOwner = Owner<SSL_CTX, SSL_CTX_free>;
using SessionOwner = Owner<SSL_SESSION, SSL_SESSION_free>;
using X509Owner = Owner<X509, X509_free>;
using X509NameOwner = Owner<X509_NAME, X509_NAME_free>;

}  // namespace keyless

#endif  // NATIVE_OPENSSL_OWNERS_H_
