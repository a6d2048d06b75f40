// The ex_data slot by which an SSL leads to the first of its Handshakes, and how an SSL or SSL_CTX that Node makes is seen: a slot's
// new_func runs inside SSL_new and SSL_CTX_new, so the last one made on this thread is known without touching Node's
// internals.
#ifndef NATIVE_SSL_SLOTS_H_
#define NATIVE_SSL_SLOTS_H_

#include "openssl/owners.h"

namespace keyless {

class Handshake;
struct ContextRecord;

// Once per process. @return whether OpenSSL gave the slots
bool RegisterSlots();

// The last SSL made on this thread and not freed since; nullptr: none.
SSL* LastSsl();
// The last SSL_CTX made on this thread since ForgetLastSslCtx and not freed; nullptr: none.
SSL_CTX* LastSslCtx();
void ForgetLastSslCtx();

Handshake* HandshakeSlot(const SSL* ssl);
void SetHandshakeSlot(SSL* ssl, Handshake* handshake);

// The record of an SSL_CTX, which deletes it; nullptr: none.
ContextRecord* ContextSlot(const SSL_CTX* context);
// @return whether there was memory for it
bool SetContextSlot(SSL_CTX* context, ContextRecord* record);

}  // namespace keyless

#endif  // NATIVE_SSL_SLOTS_H_
