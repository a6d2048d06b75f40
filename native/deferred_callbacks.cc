#include "deferred_callbacks.h"

#include <openssl/async.h>

#include <atomic>
#include <utility>

#include "handshake.h"

namespace keyless {

namespace {

DeferredCallbacks* QueueOf(const SSL* ssl) {
  Handshake* handshake = Handshake::Of(ssl);
  return handshake == nullptr ? nullptr : &handshake->deferred();
}

bool OnJobStack() { return ASYNC_get_current_job() != nullptr; }

// Node's callbacks are static functions of its binary: one of each, whatever the connection, context or thread.
std::atomic<void (*)(const SSL*, int, int)> node_info{nullptr};
std::atomic<void (*)(const SSL*, const char*)> node_keylog{nullptr};
std::atomic<int (*)(SSL*, SSL_SESSION*)> node_new_session{nullptr};
using StatusCallback = int (*)(SSL*, void*);
std::atomic<StatusCallback> node_status{nullptr};

// The first that is found: later ones may be those of another copy of this addon, which has ours for Node's.
template <typename Callback>
void Remember(std::atomic<Callback>* first, Callback found) {
  Callback none = nullptr;
  first->compare_exchange_strong(none, found);
}

}  // namespace

void DeferredCallbacks::Intercept(SSL* ssl, SSL_CTX* initial) {
  const auto info = SSL_get_info_callback(ssl);
  if (info != nullptr && info != OnInfo) {
    Remember(&node_info, info);
    SSL_set_info_callback(ssl, OnInfo);
  }
  InterceptContext(initial);
  SSL_CTX* const chosen = SSL_get_SSL_CTX(ssl);
  if (chosen != initial) InterceptContext(chosen);
}

void DeferredCallbacks::InterceptContext(SSL_CTX* context) {
  const auto keylog = SSL_CTX_get_keylog_callback(context);
  if (keylog != nullptr && keylog != OnKeylog) {
    Remember(&node_keylog, keylog);
    SSL_CTX_set_keylog_callback(context, OnKeylog);
  }
  const auto new_session = SSL_CTX_sess_get_new_cb(context);
  if (new_session != nullptr && new_session != OnNewSession) {
    Remember(&node_new_session, new_session);
    SSL_CTX_sess_set_new_cb(context, OnNewSession);
  }
  StatusCallback status = nullptr;
  SSL_CTX_get_tlsext_status_cb(context, &status);
  if (status != nullptr && status != OnStatus) {
    Remember(&node_status, status);
    SSL_CTX_set_tlsext_status_cb(context, OnStatus);
  }
}

void DeferredCallbacks::Release(SSL* ssl) {
  if (SSL_get_info_callback(ssl) == OnInfo) SSL_set_info_callback(ssl, node_info);
}

bool DeferredCallbacks::ReplayNext(SSL* ssl) {
  if (empty()) return false;
  const Call call = std::move(calls_[next_++]);
  if (empty()) {
    calls_.clear();
    next_ = 0;
  }
  switch (call.kind) {
    case Kind::kInfo:
      node_info.load()(ssl, call.where, call.value);
      break;
    case Kind::kKeylog:
      node_keylog.load()(ssl, call.line.c_str());
      break;
    case Kind::kNewSession:
      // Node keeps no reference (it returns 0); were that to change, one is made for it.
      if (node_new_session.load()(ssl, call.session.get()) != 0) SSL_SESSION_up_ref(call.session.get());
      break;
    case Kind::kOcspResponse:
      node_status.load()(ssl, nullptr);
      break;
  }
  return !empty();
}

void DeferredCallbacks::OnInfo(const SSL* ssl, int where, int value) {
  // The only two events Node listens to; a handshake has some twenty others.
  if ((where & (SSL_CB_HANDSHAKE_START | SSL_CB_HANDSHAKE_DONE)) == 0) return;
  Handshake* const handshake = Handshake::Of(ssl);
  if (handshake == nullptr) return node_info.load()(ssl, where, value);
  DeferredCallbacks& queue = handshake->deferred();
  if (OnJobStack()) {
    queue.calls_.push_back({Kind::kInfo, where, value, {}, nullptr});
    return;
  }
  if ((where & SSL_CB_HANDSHAKE_DONE) != 0) handshake->OnFinished();
  node_info.load()(ssl, where, value);
}

void DeferredCallbacks::OnKeylog(const SSL* ssl, const char* line) {
  DeferredCallbacks* queue = QueueOf(ssl);
  if (queue != nullptr && OnJobStack()) {
    queue->calls_.push_back({Kind::kKeylog, 0, 0, line, nullptr});
    return;
  }
  node_keylog.load()(ssl, line);
}

int DeferredCallbacks::OnNewSession(SSL* ssl, SSL_SESSION* session) {
  DeferredCallbacks* queue = QueueOf(ssl);
  if (queue != nullptr && OnJobStack()) {
    queue->calls_.push_back({Kind::kNewSession, 0, 0, {}, SessionOwner(session)});
    return 1;  // the reference OpenSSL offers is now the queue's
  }
  return node_new_session.load()(ssl, session);
}

// A client's tells JavaScript of the server's OCSP response and accepts it whatever JavaScript does, but whoever is told may
// end the connection: so it is told before the key is asked. A server's hands OpenSSL the response Node has ready, without
// JavaScript.
int DeferredCallbacks::OnStatus(SSL* ssl, void*) {
  constexpr int kAccepted = 1;
  Handshake* const handshake = Handshake::Of(ssl);
  if (handshake != nullptr && OnJobStack() && !SSL_is_server(ssl)) {
    handshake->deferred().calls_.push_back({Kind::kOcspResponse, 0, 0, {}, nullptr});
    handshake->AwaitTelling();
    return kAccepted;
  }
  return node_status.load()(ssl, nullptr);
}

}  // namespace keyless
