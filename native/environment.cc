#include "environment.h"

#include <algorithm>
#include <utility>

namespace keyless {

Environment::Environment(napi_env env) : env_(env) { napi_add_env_cleanup_hook(env_, OnCleanup, this); }

Environment::~Environment() { DisposeAll(); }

// Node has destroyed its TLSWraps by now, or is about to; jobs that are paused hold their SSL through us. Nothing is called after it:
// JavaScript has ended before, the loop's turn with a hook that came later than this one and so ran earlier, and no SSL leads to a
// handshake of ours any more.
void Environment::OnCleanup(void* environment) { static_cast<Environment*>(environment)->DisposeAll(); }

void Environment::DisposeAll() {
  turn_ = nullptr;
  endpoints_.clear();
  const auto handshakes = std::move(handshakes_);
  handshakes_.clear();
  for (const auto& [id, handshake] : handshakes) handshake->Dispose();
  child_programs_.EndAll();
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

namespace {

std::vector<uint32_t> TakeOldest(std::vector<uint32_t>* ids, size_t max) {
  if (ids->size() <= max) return std::exchange(*ids, {});
  const auto end = ids->begin() + static_cast<ptrdiff_t>(max);
  std::vector<uint32_t> oldest(ids->begin(), end);
  ids->erase(ids->begin(), end);
  return oldest;
}

}  // namespace

std::vector<uint32_t> Environment::TakeParked(size_t max) {
  return TakeOldest(&parked_, max);
}

std::vector<uint32_t> Environment::TakeFlooded(size_t max) {
  const auto over = [this](uint32_t id) {
    const auto handshake = Find(id);
    return handshake == nullptr || !handshake->waits();
  };
  flooded_.erase(std::remove_if(flooded_.begin(), flooded_.end(), over), flooded_.end());
  return TakeOldest(&flooded_, max);
}

namespace {

// What Node-API shows to hooks (node:async_hooks) in the place of a handle: whoever looks for what holds the process, as runners
// of tests do, asks for hasRef().
Napi::Object HoldsNothing(Napi::Env env) {
  const auto has_ref = [](const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), false); };
  Napi::Object resource = Napi::Object::New(env);
  resource.DefineProperty(Napi::PropertyDescriptor::Value("hasRef", Napi::Function::New(env, has_ref, "hasRef"), napi_default));
  return resource;
}

}  // namespace

bool Environment::SetFloodListener(Napi::Function listener) {
  const Napi::Env env(env_);
  if (napi_create_threadsafe_function(env_, listener, HoldsNothing(env), Napi::String::New(env, "keyless-tls"), 0, 1,
                                      nullptr, nullptr, nullptr, nullptr, &flood_listener_) != napi_ok) {
    return false;
  }
  return napi_unref_threadsafe_function(env_, flood_listener_) == napi_ok;
}

size_t Environment::StartSigning(size_t threads, Napi::Function listener) {
  if (signing_threads_ != nullptr) return 0;
  const Napi::Env env(env_);
  if (napi_create_threadsafe_function(env_, listener, nullptr, Napi::String::New(env, "keyless-tls:sign"), 0, 1, nullptr,
                                      nullptr, nullptr, nullptr, &signed_listener_) != napi_ok) {
    return 0;
  }
  napi_unref_threadsafe_function(env_, signed_listener_);
  signing_threads_ = std::make_unique<SigningThreads>(
      [](void* listener) {
        napi_call_threadsafe_function(static_cast<napi_threadsafe_function>(listener), nullptr, napi_tsfn_nonblocking);
      },
      signed_listener_);
  // Hooks run in the reverse order: the threads have ended when Node takes the function away that they call.
  napi_add_env_cleanup_hook(env_, EndSigning, this);
  return signing_threads_->Start(threads);
}

void Environment::EndSigning(void* environment) { static_cast<Environment*>(environment)->signing_threads_.reset(); }

void Environment::HoldForSigning(bool hold) {
  if (signing_threads_ == nullptr) return;
  if (hold) {
    napi_ref_threadsafe_function(env_, signed_listener_);
  } else {
    napi_unref_threadsafe_function(env_, signed_listener_);
  }
}

void Environment::SetTurnListeners(Napi::Function drive, Napi::Function take_turn, Napi::Function end_turn) {
  drive_listener_ = Napi::Persistent(drive);
  turn_listener_ = Napi::Persistent(take_turn);
  turn_end_listener_ = Napi::Persistent(end_turn);
  const Napi::Env env(env_);
  // Node-API holds it only weakly.
  turn_resource_ = Napi::Persistent(HoldsNothing(env));
  napi_async_init(env_, turn_resource_.Value(), Napi::String::New(env, "KEYLESSTURN"), &turn_context_);
  turn_ = new LoopTurn(env_, [](void* environment) { static_cast<Environment*>(environment)->OnTurn(); }, this);
  KnowsStreams(turn_->loop());
}

namespace {

// Each that asks is a job's stack, which OpenSSL keeps for later ones, and whoever can open connections can make them.
constexpr size_t kMostAsking = 1000;

}  // namespace

bool Environment::PutOff(Handshake* handshake, TurnKind kind) {
  if (kind == TurnKind::kAsk && put_off_.size() >= kMostAsking) return false;
  if (turn_ == nullptr) return true;
  handshake->PutOff();
  put_off_.push_back({handshake->id(), kind});
  turn_->Ask();
  return true;
}

void Environment::OnTurn() {
  if (!parked_.empty()) {
    const Napi::HandleScope scope(env_);
    CallBack(drive_listener_, {});
  }
  // One that has asked goes on, and may have come to its end: what its user puts off to the next turn comes after it.
  while (!put_off_.empty()) {
    for (const Turn& turn : std::exchange(put_off_, {})) TakeTurn(turn);
  }
}

// Nothing of JavaScript is on the stack where Node is called, and whatever is called may dispose of the handshake.
void Environment::TakeTurn(Turn turn) {
  const auto handshake = Find(turn.id);
  if (handshake == nullptr) return;
  const Napi::HandleScope scope(env_);
  while (turn.kind != TurnKind::kTellInOneGo && handshake->ReplayNext()) {
  }
  handshake->TakeTurn();
  reader_.reset();
  const bool good = CallBack(turn_listener_, {Napi::Number::New(env_, turn.id)});
  if (turn.kind == TurnKind::kAsk) {
    EndTurn(turn.id, good);
  } else if (reader_.has_value()) {
    WakeNode(turn.id, *reader_);
  }
}

void Environment::WakeBy(int descriptor) {
  if (turn_ != nullptr) reader_ = ReaderOf(turn_->loop(), descriptor);
}

void Environment::WakeNode(uint32_t id, const StreamReader& reader) {
  const auto handshake = Find(id);
  if (handshake == nullptr) return;
  const bool failed = handshake->failed();
  if (failed) handshake->PutErrorBack();
  const bool woken = ReadNothing(turn_->loop(), reader);
  // Node leaves it there where it is not woken, and in what follows, hooks to begin with, somebody else may look for his own.
  if (failed) ERR_clear_error();
  if (!woken || failed) EndTurn(id, woken);
}

void Environment::EndTurn(uint32_t id, bool good) {
  CallBack(turn_end_listener_, {Napi::Number::New(env_, id), Napi::Boolean::New(env_, good)});
}

// What it throws, and what is thrown in ticks after it, is uncaught, as of any callback of the loop's.
// Returns whether nothing was.
bool Environment::CallBack(const Napi::FunctionReference& listener, std::initializer_list<napi_value> arguments) {
  napi_value thrown = nullptr;
  const napi_status status = napi_make_callback(env_, turn_context_, Napi::Env(env_).Global(), listener.Value(),
                                                arguments.size(), arguments.begin(), nullptr);
  if (status == napi_ok) return true;
  if (status == napi_pending_exception && napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) {
    napi_fatal_exception(env_, thrown);
  }
  return false;
}

void Environment::OnParked(Handshake* handshake, bool at_gate) {
  parked_.push_back(handshake->id());
  if (turn_ != nullptr) turn_->Ask();
  if (park_listener_.IsEmpty()) return;
  const Napi::HandleScope scope(env_);
  // Where JavaScript may not run any more (a worker is being terminated) this fails, and nothing is to be driven. It
  // also fails near the end of a deep stack: the next that parks tells of both, and the exception is nobody else's.
  const napi_value told[] = {Napi::Number::New(env_, handshake->id()), Napi::Boolean::New(env_, at_gate)};
  const Napi::Object global = Napi::Env(env_).Global();
  napi_value ignored = nullptr;
  if (napi_call_function(env_, global, park_listener_.Value(), 2, told, nullptr) != napi_ok) {
    napi_get_and_clear_last_exception(env_, &ignored);
  }
}

// Perhaps on a job's stack, which JavaScript must not see: a thread-safe function only wakes the loop.
void Environment::OnFlooded(Handshake* handshake) {
  if (flood_listener_ == nullptr) return;
  flooded_.push_back(handshake->id());
  if (flooded_.size() == 1) napi_call_threadsafe_function(flood_listener_, nullptr, napi_tsfn_nonblocking);
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
