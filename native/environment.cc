#include "environment.h"

#include <utility>

namespace keyless {

Environment::Environment(napi_env env) : env_(env) { napi_add_env_cleanup_hook(env_, OnCleanup, this); }

Environment::~Environment() { DisposeAll(); }

// Node has destroyed its TLSWraps by now, or is about to; jobs that are paused hold their SSL through us.
void Environment::OnCleanup(void* environment) { static_cast<Environment*>(environment)->DisposeAll(); }

void Environment::DisposeAll() {
  closing_ = true;
  endpoints_.clear();
  const auto handshakes = std::move(handshakes_);
  handshakes_.clear();
  for (const auto& [id, handshake] : handshakes) handshake->Dispose();
}

std::shared_ptr<Handshake> Environment::Attach(SSL* ssl, bool shared_with_node) {
  uint32_t id = ++last_id_;
  while (id == 0 || handshakes_.count(id) != 0) id = ++last_id_;
  auto handshake = std::make_shared<Handshake>(id, ssl, shared_with_node, this);
  handshakes_.emplace(id, handshake);
  return handshake;
}

std::shared_ptr<Handshake> Environment::Find(uint32_t id) const {
  const auto found = handshakes_.find(id);
  return found == handshakes_.end() ? nullptr : found->second;
}

std::vector<uint32_t> Environment::TakeParked(size_t max) {
  if (parked_.size() <= max) return std::exchange(parked_, {});
  const auto end = parked_.begin() + static_cast<ptrdiff_t>(max);
  std::vector<uint32_t> oldest(parked_.begin(), end);
  parked_.erase(parked_.begin(), end);
  return oldest;
}

void Environment::OnParked(Handshake* handshake) {
  if (closing_) return;
  parked_.push_back(handshake->id());
  if (parked_.size() > 1 || park_listener_.IsEmpty()) return;
  const Napi::HandleScope scope(env_);
  // Where JavaScript may not run any more (a worker is being terminated) this fails, and nothing is to be driven.
  napi_call_function(env_, Napi::Env(env_).Global(), park_listener_.Value(), 0, nullptr, nullptr);
}

void Environment::OnDisposed(Handshake* handshake) { handshakes_.erase(handshake->id()); }

uint32_t Environment::AddEndpoint(std::unique_ptr<Endpoint> endpoint) {
  uint32_t id = ++last_id_;
  while (id == 0 || handshakes_.count(id) != 0 || endpoints_.count(id) != 0) id = ++last_id_;
  endpoints_.emplace(id, std::move(endpoint));
  return id;
}

Endpoint* Environment::FindEndpoint(uint32_t id) const {
  const auto found = endpoints_.find(id);
  return found == endpoints_.end() ? nullptr : found->second.get();
}

}  // namespace keyless
