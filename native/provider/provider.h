// The OpenSSL provider whose keys hold only the public half and a number. It lives in a library context of its own,
// which is never unloaded: nothing else in the process can fetch from it by accident, and the default context keeps
// its implicit default provider.
#ifndef NATIVE_PROVIDER_PROVIDER_H_
#define NATIVE_PROVIDER_PROVIDER_H_

#include <memory>

#include "../key_record.h"
#include "../openssl/owners.h"

namespace keyless {

// Once per process. @return whether the provider is there
bool LoadProvider();

// A private key for SSL_CTX_use_PrivateKey; nullptr: OpenSSL refused.
PkeyOwner MakeKeylessKey(std::shared_ptr<const KeyRecord> record);

}  // namespace keyless

#endif  // NATIVE_PROVIDER_PROVIDER_H_
