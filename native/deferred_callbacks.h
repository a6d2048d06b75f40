// Callbacks of Node's that enter JavaScript, kept off a job's stack: V8 aborts the process when it is entered there.
// While a job runs, what OpenSSL reports is queued; when the job has yielded, it is replayed in order on the main stack. For an
// OCSP response it yields at once.
//
// The callbacks are Node's own, read back with OpenSSL's getters (SSL_get_info_callback, SSL_CTX_get_keylog_callback,
// SSL_CTX_sess_get_new_cb, SSL_CTX_get_tlsext_status_cb), and replaced by ours, which call them at once whenever no job runs.
#ifndef NATIVE_DEFERRED_CALLBACKS_H_
#define NATIVE_DEFERRED_CALLBACKS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "openssl/owners.h"

namespace keyless {

// Owner: its Handshake, with which goes what is queued. Thread: the handshake's.
class DeferredCallbacks {
 public:
  // Puts our callbacks in front of Node's. Repeatable: Node sets its own again with every TLSSocket of a context, and a
  // server name may choose another context. `initial` is the SSL_CTX the SSL was made with: it, and not the chosen
  // one, reports new sessions.
  static void Intercept(SSL* ssl, SSL_CTX* initial);
  // Gives the SSL's own callback back to Node.
  static void Release(SSL* ssl);

  // Hands the oldest queued call to Node. Main stack only. @return whether more are queued
  bool ReplayNext(SSL* ssl);
  bool empty() const { return next_ == calls_.size(); }

 private:
  enum class Kind { kInfo, kKeylog, kNewSession, kOcspResponse };
  struct Call {
    Kind kind;
    int where = 0;
    int value = 0;
    std::string line;
    SessionOwner session;
  };

  static void InterceptContext(SSL_CTX* context);
  static void OnInfo(const SSL* ssl, int where, int value);
  static void OnKeylog(const SSL* ssl, const char* line);
  static int OnNewSession(SSL* ssl, SSL_SESSION* session);
  static int OnStatus(SSL* ssl, void* unused);

  std::vector<Call> calls_;
  size_t next_ = 0;  // of calls_; what is before it has been replayed
};

}  // namespace keyless

#endif  // NATIVE_DEFERRED_CALLBACKS_H_
