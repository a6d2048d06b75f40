// One handshake that may stop at its private-key operation: park, drive, resume, fail, cancel.
//
//   parked    the certificate callback stopped OpenSSL on Node's own stack, before any operation
//   driven    we run SSL_do_handshake as an async job; the job's stack sees OpenSSL and this addon, never V8
//   paused    the job stands in the provider, waiting for the operation's result
//   gated     what the peer sends next leads to the operation, so Node may not read it on its own stack: a client's key
//             exchange under RSA; the rest of a server's flight once it has asked for the client's certificate
//
// The SSL belongs to Node's TLSWrap (or to an Endpoint); a reference is held while a job is paused, because
// freeing an SSL in that state leaks its job.
#ifndef NATIVE_HANDSHAKE_H_
#define NATIVE_HANDSHAKE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "alpn_decision.h"
#include "deferred_callbacks.h"
#include "openssl/owners.h"
#include "openssl/saved_error.h"
#include "operation.h"
#include "psk_decision.h"

namespace keyless {

// Where a handshake stands after a step. The numbers are the contract with lib/engine/addon.ts.
enum class HandshakeState : int {
  kWantRead = 0,
  kWantWrite = 1,
  kWantSign = 2,
  kWantDecrypt = 3,
  kDone = 4,
  kFailed = 5,
  kWantAlpn = 6,
  kWantPsk = 7,
  kWantTelling = 8,
};

class Handshake;

// Callbacks of a user's, which are JavaScript, and for which OpenSSL may ask in the middle of a job: see AlpnDecision and
// PskDecision.
struct UserCallbacks {
  bool alpn = false;
  bool psk = false;
};

// What Node may have read of a peer's bytes while its handshake waits: far more than any handshake has. Node itself goes
// on reading, into memory, for as long as a private-key operation takes.
inline constexpr int kMaxAheadBytes = 64 * 1024;

struct EngineCounters {
  uint32_t handshakes = 0;  // armed, or of an endpoint, and not yet disposed of
  uint32_t paused = 0;      // jobs that wait for a result
};

// Where handshakes live. Owner and thread: the environment's.
class HandshakeOwner {
 public:
  // Called inside OpenSSL, inside Node's SSL_read: must do no more than take note, and see to it that nothing more is read.
  // `at_gate`: what the peer has sent is not read yet.
  virtual void OnParked(Handshake* handshake, bool at_gate) = 0;
  // A peer sends ahead of a handshake that waits, more than kMaxAheadBytes: somebody should stop reading from it. Called
  // on any stack, also a job's: must not enter JavaScript. Once for each wait.
  virtual void OnFlooded(Handshake* handshake) = 0;
  // The last call about this handshake; its id is free.
  virtual void OnDisposed(Handshake* handshake) = 0;
  // Whether it is one of its own, of which it knows the number.
  virtual bool Has(const KeyRecord& key) const = 0;
  EngineCounters counters;

 protected:
  ~HandshakeOwner() = default;
};

// Owner: a HandshakeOwner's shared_ptr (a step keeps its own while callbacks may dispose of it). Thread: the one of its
// environment. States: idle -> parked -> [driving -> paused]* -> idle ...; any -> disposed.
class Handshake : public std::enable_shared_from_this<Handshake> {
 public:
  // `shared_with_node`: Node reads from this SSL too, so a job may read only where it must (see MayRead).
  Handshake(uint32_t id, SSL* ssl, bool shared_with_node, HandshakeOwner* owner);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  // The handshake of an SSL that sees to it: whose job there is, or which was armed last; nullptr: none.
  static Handshake* Of(const SSL* ssl);
  // The owner's own; nullptr: none.
  static Handshake* Of(const SSL* ssl, const HandshakeOwner* owner);
  // The handshake whose job is running on this thread, if the key is its owner's; nullptr: none.
  static Handshake* Driving(const KeyRecord& key);
  // For SSL_CTX_set_cert_cb: parks on the main stack, goes on inside a job.
  static int OnCertificate(SSL* ssl, void* unused);
  // For the SSL's ex_data slot: the SSL is being freed.
  static void OnSslFreed(Handshake* first);

  // Servers: whether a keyless key that comes now is one for a job of this handshake or of a later one.
  bool MayTakeKey() const;
  // Servers: whether a certificate callback has put the handshake off, and OpenSSL's own stack is gone since.
  bool IsPutOff() const;
  // Makes the SSL park at its next certificate callback.
  void Arm();
  // Ours stand in the places of these in every step of a job, and are there when the step is over: the caller lets Node put
  // its own back.
  void set_user_callbacks(UserCallbacks callbacks) { user_callbacks_ = callbacks; }
  // Runs the handshake until it yields. Main stack only.
  HandshakeState Drive();
  // Says which protocol is chosen, in kWantAlpn, and goes on; see AlpnDecision::Decide.
  HandshakeState DecideAlpn(int offset);
  // Says which key is shared, in kWantPsk, and goes on; see PskDecision::Decide.
  HandshakeState DecidePsk(const std::string& identity, const uint8_t* psk, size_t psk_size);
  // What has been reported was replayed, in kWantTelling: goes on.
  HandshakeState GoOn();
  // Hands the pending operation its result and goes on. It must have passed CheckShape.
  HandshakeState Supply(std::vector<uint8_t> result);
  // Ends the pending operation without a result and goes on.
  HandshakeState Fail();
  // Ends a parked handshake that must not be driven (too many wait): the peer gets an internal_error alert.
  HandshakeState Refuse();
  // Gives everything back; the pending operation fails, its job runs to the end, Node hears nothing more.
  void Dispose();
  // Hands Node the oldest callback that a job left. @return whether there are more
  bool ReplayNext();
  // What the last step has brought is for a later turn: until TakeTurn, Node reads nothing that comes after it.
  void PutOff();
  void TakeTurn();
  // Leaves in the thread's error queue what Node tells of the last step's failure, and nothing else.
  void PutErrorBack() const { error_.PutBack(); }
  // Whether the last step has failed.
  bool failed() const { return failed_; }
  // The TLS handshake is over (a renegotiation may follow).
  void OnFinished();

  // Provider side, on the job's stack: waits for the operation's result. `operation` is kept as `last()`.
  // @return whether it succeeded
  bool Await(Operation operation);

  // On the job's stack: pauses, in kWantTelling, until Node has been told of what is queued.
  void AwaitTelling();
  bool awaits_telling() const { return awaits_telling_; }

  // nullptr: no operation waits.
  const Operation* pending() const;
  // On the job's stack: the job has read what it must.
  void ReadNoMore() { reads_in_job_ = false; }
  // The last operation that was settled, until the handshake is over; nullptr: none.
  const Operation* last() const { return last_.get(); }
  void ForgetLast() { last_.reset(); }
  // Whether it is parked or paused: Node will hear of it, but not yet.
  bool waits() const { return parked_ || held_ != nullptr; }
  uint32_t id() const { return id_; }
  SSL* ssl() const { return ssl_; }
  DeferredCallbacks& deferred() { return deferred_; }
  const DeferredCallbacks& deferred() const { return deferred_; }
  AlpnDecision& alpn() { return alpn_; }
  PskDecision& psk() { return psk_; }
  bool cancelled() const { return cancelled_; }

 private:
  static long OnRead(BIO* bio, int event, const char* data, size_t size, int argi, long argl, int value,  // NOLINT
                     size_t* processed);
  HandshakeState Step();
  HandshakeState RunJob();
  HandshakeState StateAfter(int value);
  bool WaitsForUs() const;
  void StandInForUser();
  bool MayRead(BIO* bio);
  bool AwaitsPremaster() const;
  bool WaitsForPeer() const;
  void CloseGate();
  bool AwaitsOwnSignature() const;
  void Count();
  void LimitChoice();
  void Park(bool at_gate);
  void WatchAhead();
  void SetGate(bool in_place);
  void ComeFirst();
  void Leave();
  void HoldSsl();
  void DropSsl();
  void Abandon();

  const uint32_t id_;
  SSL* ssl_;                  // Node's or an Endpoint's; nullptr once disposed of
  Handshake* next_ = nullptr;  // of another owner, for the same SSL
  SSL_CTX* const initial_context_;  // kept by the SSL
  const bool shared_with_node_;
  HandshakeOwner* const owner_;
  SslOwner held_;             // our reference while a job is paused
  DeferredCallbacks deferred_;
  SavedError error_;
  AlpnDecision alpn_;
  PskDecision psk_;
  UserCallbacks user_callbacks_;
  std::unique_ptr<Operation> operation_;
  std::unique_ptr<Operation> last_;
  bool armed_ = false;
  bool parked_ = false;
  bool counted_ = false;
  bool flooded_ = false;      // the owner knows that the peer sends ahead
  bool refused_ = false;
  bool failed_ = false;
  bool put_off_ = false;
  bool driving_ = false;
  bool awaits_telling_ = false;
  bool awaits_answer_ = false;  // this handshake's first flight of ours is out, and its operation not done
  bool gate_closed_ = false;  // the peer's next bytes lead to an operation: they are for a job
  bool reads_in_job_ = false;
  bool operated_ = false;     // this handshake's operation is done
  bool cancelled_ = false;    // every operation fails at once
  bool disposed_ = false;
};

}  // namespace keyless

#endif  // NATIVE_HANDSHAKE_H_
