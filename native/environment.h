// What one copy of lib/ has of this addon in one Node environment (the main thread, a worker): its handshakes, endpoints and keys.
// Several copies may share a binary (links of package managers, registries of modules that load it again), and know nothing of
// each other's numbers.
#ifndef NATIVE_ENVIRONMENT_H_
#define NATIVE_ENVIRONMENT_H_

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "child_programs.h"
#include "context_records.h"
#include "endpoint.h"
#include "handshake.h"
#include "key_record.h"
#include "loop_turn.h"
#include "node_streams.h"
#include "signing_threads.h"

namespace keyless {

// What a handshake's turn is for. The numbers are the contract with lib/engine/addon.ts.
enum class TurnKind : int {
  // With nothing of JavaScript on the stack, Node is told what OpenSSL reported while the job ran. If `take_turn` then names a
  // stream, Node is woken by its reader; `end_turn` is told where that cannot be, or the handshake has failed.
  kTell = 0,
  // `take_turn` sees to all of that.
  kTellInOneGo = 1,
  // Node is told as in kTell, `take_turn` asks a callback of the user's if there is one to ask, and `end_turn` is told, when what all
  // of that has put off is done, whether `take_turn` has thrown nothing.
  kAsk = 2,
};

// Owner: Node-API's instance data, which has all of them. Thread: its environment's. Its
// handshakes end with the environment's cleanup hook.
class Environment final : public HandshakeOwner {
 public:
  explicit Environment(napi_env env);
  ~Environment();

  static Environment* Of(const Napi::CallbackInfo& info) { return static_cast<Environment*>(info.Data()); }

  // The function that is told when a handshake has parked.
  void set_park_listener(Napi::Function listener) { park_listener_ = Napi::Persistent(listener); }
  // `drive` is called in a turn of the loop when handshakes have parked; `take_turn` for each that was put off, and perhaps
  // `end_turn`, see TurnKind.
  void SetTurnListeners(Napi::Function drive, Napi::Function take_turn, Napi::Function end_turn);
  // Its turn is this one of the loop's or the next. Returns false where too many wait for theirs.
  bool PutOff(Handshake* handshake, TurnKind kind);
  // In `take_turn`: the descriptor whose reader wakes Node, as that stream has just said; -1: there is none. A call, and not what
  // `take_turn` returns: that is lost where a tick throws that is done after it, whoever's it is, and what is done in ticks may
  // open something else by that number.
  void WakeBy(int descriptor);
  // The function that is told, in a later turn of the loop, when peers send ahead; see HandshakeOwner::OnFlooded.
  bool SetFloodListener(Napi::Function listener);

  std::shared_ptr<Handshake> Attach(SSL* ssl, bool shared_with_node);
  // nullptr: it is gone, which is no error.
  std::shared_ptr<Handshake> Find(uint32_t id) const;
  // The oldest of them, `max` at most.
  std::vector<uint32_t> TakeParked(size_t max);
  // Of those whose peers send ahead, those that still wait, `max` at most.
  std::vector<uint32_t> TakeFlooded(size_t max);

  // Returns how many threads sign; `listener` is told, in a turn of the loop, that there are signatures to take.
  size_t StartSigning(size_t threads, Napi::Function listener);
  // nullptr: not started, or the environment ends.
  SigningThreads* signing_threads() const { return signing_threads_.get(); }
  void HoldForSigning(bool hold);

  ChildPrograms* child_programs() { return &child_programs_; }

  uint32_t AddEndpoint(std::unique_ptr<Endpoint> endpoint);
  Endpoint* FindEndpoint(uint32_t id) const;
  void RemoveEndpoint(uint32_t id) { endpoints_.erase(id); }

  // Memory shared with TypeScript, so that a step costs no object: see lib/engine/addon.ts, operation().
  static constexpr size_t kScratchBytes = 4096;
  void set_scratch(Napi::Uint8Array scratch) {
    scratch_owner_ = Napi::Persistent(scratch.As<Napi::Object>());
    scratch_ = scratch.Data();
  }
  uint8_t* scratch() const { return scratch_; }

  uint32_t NextKeyNumber() { return ++last_key_number_; }
  const std::shared_ptr<ReleasedKeys>& released_keys() const { return released_keys_; }
  const std::shared_ptr<ContextNames>& context_names() const { return context_names_; }

  void OnParked(Handshake* handshake, bool at_gate) override;
  void OnFlooded(Handshake* handshake) override;
  void OnDisposed(Handshake* handshake) override;
  bool Has(const KeyRecord& key) const override { return key.released == released_keys_; }

 private:
  static void OnCleanup(void* environment);
  static void EndSigning(void* environment);
  void OnTurn();
  struct Turn {
    uint32_t id;
    TurnKind kind;
  };
  void TakeTurn(Turn turn);
  void WakeNode(uint32_t id, const StreamReader& reader);
  void EndTurn(uint32_t id, bool good);
  bool CallBack(const Napi::FunctionReference& listener, std::initializer_list<napi_value> arguments);
  void DisposeAll();

  const napi_env env_;
  LoopTurn* turn_ = nullptr;  // its own owner; nullptr from the cleanup hook on
  Napi::ObjectReference turn_resource_;
  napi_async_context turn_context_ = nullptr;
  Napi::FunctionReference drive_listener_;
  Napi::FunctionReference turn_listener_;
  Napi::FunctionReference turn_end_listener_;
  std::vector<Turn> put_off_;
  std::optional<StreamReader> reader_;
  Napi::FunctionReference park_listener_;
  Napi::ObjectReference scratch_owner_;
  uint8_t* scratch_ = nullptr;
  std::unordered_map<uint32_t, std::shared_ptr<Handshake>> handshakes_;
  std::unordered_map<uint32_t, std::unique_ptr<Endpoint>> endpoints_;
  ChildPrograms child_programs_;
  std::vector<uint32_t> parked_;
  napi_threadsafe_function flood_listener_ = nullptr;  // Node's, to the environment's end
  std::vector<uint32_t> flooded_;
  napi_threadsafe_function signed_listener_ = nullptr;  // as flood_listener_
  std::unique_ptr<SigningThreads> signing_threads_;     // calls signed_listener_, and so ends before it
  const std::shared_ptr<ContextNames> context_names_ = std::make_shared<ContextNames>();
  const std::shared_ptr<ReleasedKeys> released_keys_ = std::make_shared<ReleasedKeys>();
  uint32_t last_id_ = 0;
  uint32_t last_key_number_ = 0;
};

}  // namespace keyless

#endif  // NATIVE_ENVIRONMENT_H_
