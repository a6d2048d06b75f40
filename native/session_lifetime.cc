#include "session_lifetime.h"

#include <algorithm>
#include <cstdint>

#include "openssl/error_guard.h"

namespace keyless {

namespace {

constexpr int kFail = 0;
constexpr int kGoOn = 1;

// When the session ends, seconds since 1970: goes along in each of its tickets. Little-endian, on every machine of a fleet.
using End = int64_t;

bool ReadEnd(SSL_SESSION* session, End* end) {
  void* data = nullptr;
  size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != sizeof(*end)) return false;
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint64_t value = 0;
  for (size_t at = 0; at < sizeof(value); at += 1) value |= static_cast<uint64_t>(bytes[at]) << (8 * at);
  *end = static_cast<End>(value);
  return true;
}

bool WriteEnd(SSL_SESSION* session, End end) {
  uint8_t bytes[sizeof(end)];
  for (size_t at = 0; at < sizeof(end); at += 1) bytes[at] = static_cast<uint8_t>(static_cast<uint64_t>(end) >> (8 * at));
  return SSL_SESSION_set1_ticket_appdata(session, bytes, sizeof(bytes)) == 1;
}

// A ticket is about to be made of the session, which OpenSSL has given the time of now. That of TLS 1.2 keeps its own.
int OnTicketMade(SSL* ssl, void*) {
  const ErrorGuard errors;
  SSL_SESSION* const session = SSL_get_session(ssl);
  if (session == nullptr || SSL_version(ssl) != TLS1_3_VERSION) return kGoOn;
  const End now = SSL_SESSION_get_time(session);
  const End most = SSL_SESSION_get_timeout(session);
  End end = 0;
  // Without memory for it the session would have no end: rather none.
  if (!ReadEnd(session, &end)) return WriteEnd(session, now + most) ? kGoOn : kFail;
  // A time-out of 0 is none: OpenSSL reads its default from such a ticket.
  const End left = std::max<End>(1, std::min(end - now, most));
  SSL_SESSION_set_timeout(session, static_cast<long>(left));  // NOLINT(runtime/int)
  if (now + left > end) SSL_SESSION_set_time(session, static_cast<long>(end - left));  // NOLINT(runtime/int)
  return kGoOn;
}

}  // namespace

void LimitSessions(SSL_CTX* context) { SSL_CTX_set_session_ticket_cb(context, OnTicketMade, nullptr, nullptr); }

}  // namespace keyless
