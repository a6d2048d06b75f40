#include "handshake.h"

#include <openssl/async.h>
#include <openssl/err.h>

#include <utility>

#include "openssl/error_guard.h"
#include "server_limits.h"
#include "ssl_slots.h"
#include "staged_writes.h"

namespace keyless {

namespace {

thread_local Handshake* driving = nullptr;

// A session that is resumed has its master secret, and one that has been given it needs no premaster any more.
bool HasMasterSecret(const SSL* ssl) {
  const SSL_SESSION* session = SSL_get_session(ssl);
  return session != nullptr && SSL_SESSION_get_master_key(session, nullptr, 0) > 0;
}

}  // namespace

Handshake::Handshake(uint32_t id, SSL* ssl, bool shared_with_node, HandshakeOwner* owner)
    : id_(id), ssl_(ssl), initial_context_(SSL_get_SSL_CTX(ssl)), shared_with_node_(shared_with_node),
      owner_(owner) {
  if (!shared_with_node) Count();
  Handshake* const first = HandshakeSlot(ssl_);
  if (first == nullptr) {
    SetHandshakeSlot(ssl_, this);
  } else {
    next_ = std::exchange(first->next_, this);
  }
}

Handshake::~Handshake() { Dispose(); }

Handshake* Handshake::Of(const SSL* ssl) {
  Handshake* const first = HandshakeSlot(ssl);
  if (first == nullptr || first->next_ == nullptr) return first;
  for (Handshake* each = first; each != nullptr; each = each->next_) {
    if (each->driving_ || each->held_ != nullptr) return each;
  }
  return first;
}

Handshake* Handshake::Of(const SSL* ssl, const HandshakeOwner* owner) {
  Handshake* each = HandshakeSlot(ssl);
  while (each != nullptr && each->owner_ != owner) each = each->next_;
  return each;
}

Handshake* Handshake::Driving(const KeyRecord& key) {
  return driving != nullptr && driving->owner_->Has(key) ? driving : nullptr;
}

void Handshake::OnSslFreed(Handshake* first) {
  // Only an SSL without a paused job can get here: `held_` keeps the others alive.
  while (first != nullptr) {
    Handshake* const handshake = std::exchange(first, first->next_);
    handshake->ssl_ = nullptr;
    handshake->Dispose();
  }
}

void Handshake::ComeFirst() {
  if (HandshakeSlot(ssl_) == this) return;
  Leave();
  next_ = HandshakeSlot(ssl_);
  SetHandshakeSlot(ssl_, this);
}

void Handshake::Leave() {
  Handshake* each = HandshakeSlot(ssl_);
  if (each == this) SetHandshakeSlot(ssl_, next_);
  while (each != nullptr && each->next_ != this) each = each->next_;
  if (each != nullptr) each->next_ = next_;
  next_ = nullptr;
}

int Handshake::OnCertificate(SSL* ssl, void*) {
  Handshake* handshake = Of(ssl);
  if (handshake == nullptr) return 1;
  if (handshake->refused_) return 0;
  if (ASYNC_get_current_job() != nullptr) return 1;
  handshake->operated_ = false;
  handshake->awaits_answer_ = false;
  handshake->LimitChoice();
  handshake->Park(false);
  handshake->WatchAhead();
  return -1;
}

void Handshake::Count() {
  if (!counted_) owner_->counters.handshakes++;
  counted_ = true;
}

bool Handshake::MayTakeKey() const {
  if (ssl_ == nullptr) return false;
  // On OpenSSL's stack this side's signature may be what comes next; its Finished comes after that. (The numbers of
  // OpenSSL's states differ from version to version.)
  char finished = 0;
  return armed_ || WaitsForPeer() || SSL_in_before(ssl_) != 0 || SSL_is_init_finished(ssl_) != 0 ||
         SSL_get_finished(ssl_, &finished, 1) > 0;
}

// OpenSSL has read all that there is: nothing of it is on the stack, and what a server has to send first is out.
bool Handshake::WaitsForPeer() const {
  return SSL_is_server(ssl_) != 0 && SSL_in_init(ssl_) != 0 && SSL_want(ssl_) == SSL_READING;
}

// OpenSSL says so when the callback has returned, and again no more when it reads on.
bool Handshake::IsPutOff() const { return ssl_ != nullptr && SSL_want(ssl_) == SSL_X509_LOOKUP; }

void Handshake::Arm() {
  Count();
  if (ssl_ == nullptr) return;
  ComeFirst();
  // A handshake that Node has begun with its own key may come to this one.
  if (!armed_ && WaitsForPeer()) awaits_answer_ = true;
  armed_ = true;
  SSL_set_cert_cb(ssl_, OnCertificate, nullptr);
  // setKeyCert() may have come when the server's flight was out: then what is read next is for the new key.
  if (!awaits_answer_ || driving_ || held_ != nullptr) return;
  CloseGate();
  SetGate(true);
}

void Handshake::CloseGate() { gate_closed_ = awaits_answer_ && (AwaitsPremaster() || AwaitsOwnSignature()); }

// The version is chosen by now, and in TLS 1.2 the cipher comes next.
void Handshake::LimitChoice() {
  if (SSL_is_server(ssl_) == 0 || SSL_version(ssl_) >= TLS1_3_VERSION) return;
  const ErrorGuard errors;
  LimitCiphers(ssl_);
}

void Handshake::Park(bool at_gate) {
  if (parked_) return;
  parked_ = true;
  SetGate(true);
  owner_->OnParked(this, at_gate);
}

// Node's every attempt to read comes by here while a handshake waits, so what piles up is seen.
void Handshake::WatchAhead() {
  if (flooded_ || !shared_with_node_ || BIO_pending(SSL_get_rbio(ssl_)) <= kMaxAheadBytes) return;
  flooded_ = true;
  owner_->OnFlooded(this);
}

// The gate costs a call for every read, so it stands only while a handshake may need it. Another owner's is not ours to take away.
void Handshake::SetGate(bool in_place) {
  BIO* const input = shared_with_node_ ? SSL_get_rbio(ssl_) : nullptr;
  if (input == nullptr || (!in_place && BIO_get_callback_arg(input) != reinterpret_cast<char*>(this))) return;
  BIO_set_callback_arg(input, in_place ? reinterpret_cast<char*>(this) : nullptr);
  BIO_set_callback_ex(input, in_place ? OnRead : nullptr);
}

long Handshake::OnRead(BIO* bio, int event, const char*, size_t, int, long, int value, size_t*) {  // NOLINT
  if (event != BIO_CB_READ) return value;
  auto* handshake = reinterpret_cast<Handshake*>(BIO_get_callback_arg(bio));
  if (handshake == nullptr || handshake->MayRead(bio)) return value;
  BIO_set_retry_read(bio);
  return -1;
}

bool Handshake::MayRead(BIO* bio) {
  // A job that reads could meet a message whose handling enters JavaScript (a second ClientHello's server name, a PSK
  // identity) or whose answer does (a session ticket, whose key Node may ask JavaScript for). What the peer sends is
  // therefore read on Node's stack, but for the flight that leads to an operation, and of that what comes before it.
  if (driving_) return reads_in_job_ && !operated_;
  if (put_off_) return false;
  if (!gate_closed_) return true;
  if (BIO_pending(bio) > 0) Park(true);
  WatchAhead();
  return false;
}

// Under a key of Node's, Node reads the client's key exchange and all that follows. But for RSA-PSK: the user, who is asked
// for the pre-shared key there, may exchange the other one.
bool Handshake::AwaitsPremaster() const {
  const SSL_CIPHER* cipher = SSL_is_server(ssl_) != 0 ? SSL_get_pending_cipher(ssl_) : nullptr;
  const int exchange = cipher == nullptr ? NID_undef : SSL_CIPHER_get_kx_nid(cipher);
  if ((exchange != NID_kx_rsa && exchange != NID_kx_rsa_psk) || HasMasterSecret(ssl_)) return false;
  if (exchange == NID_kx_rsa_psk) return true;
  const ErrorGuard errors;
  return RsaKeyOf(ssl_) != RsaKeyKind::kNotKeyless;
}

// A client's certificate callback runs when the server's request is read, its signature when the server's flight has
// been read to the end: in TLS 1.3 the certificate and all that follows comes in between (RFC 8446 §4.4).
bool Handshake::AwaitsOwnSignature() const { return SSL_is_server(ssl_) == 0; }

HandshakeState Handshake::Drive() {
  if (ssl_ == nullptr || held_ != nullptr) return HandshakeState::kFailed;
  parked_ = false;
  // The key may have become Node's since the gate was closed.
  reads_in_job_ = !shared_with_node_ || AwaitsOwnSignature() || (gate_closed_ && AwaitsPremaster());
  return Step();
}

HandshakeState Handshake::Supply(std::vector<uint8_t> result) {
  operation_->result = std::move(result);
  operation_->state = Operation::State::kSucceeded;
  return Step();
}

HandshakeState Handshake::Fail() {
  operation_->state = Operation::State::kFailed;
  return Step();
}

HandshakeState Handshake::DecideAlpn(int offset) {
  alpn_.Decide(offset);
  return Step();
}

HandshakeState Handshake::DecidePsk(const std::string& identity, const uint8_t* psk, size_t psk_size) {
  psk_.Decide(identity, psk, psk_size);
  return Step();
}

HandshakeState Handshake::GoOn() {
  awaits_telling_ = false;
  return Step();
}

HandshakeState Handshake::Refuse() {
  refused_ = true;
  cancelled_ = true;
  return Drive();
}

HandshakeState Handshake::Step() {
  flooded_ = false;
  failed_ = false;
  DeferredCallbacks::Intercept(ssl_, initial_context_);
  ERR_clear_error();
  HandshakeState state = HandshakeState::kFailed;
  const SslOwner alive(ssl_);  // for the staged writes; Node's reference may be the one that a job's end drops
  SSL_up_ref(ssl_);
  {
    const StagedWrites staged(ssl_);
    if (staged.ok()) state = RunJob();
  }
  return state;
}

// With each step, for between two of them Node's own are there.
void Handshake::StandInForUser() {
  if (user_callbacks_.alpn) AlpnDecision::Impose(ssl_);
  if (user_callbacks_.psk) PskDecision::Impose(ssl_);
}

HandshakeState Handshake::RunJob() {
  StandInForUser();
  Handshake* const outer = std::exchange(driving, this);
  driving_ = true;
  // Never on the SSL_CTX, and only from here until the job is over: a job that Node's own SSL_read started would keep
  // a pointer into Node's stack frame.
  SSL_set_mode(ssl_, SSL_MODE_ASYNC);
  int value = SSL_do_handshake(ssl_);
  // An engine or provider of somebody else's would block without a job, and may pause one.
  while (SSL_waiting_for_async(ssl_) && !WaitsForUs()) value = SSL_do_handshake(ssl_);
  driving_ = false;
  driving = outer;
  return StateAfter(value);
}

bool Handshake::WaitsForUs() const {
  return operation_ != nullptr || alpn_.pending() || psk_.pending() || awaits_telling_;
}

HandshakeState Handshake::StateAfter(int value) {
  if (SSL_waiting_for_async(ssl_)) {
    HoldSsl();
    if (alpn_.pending()) return HandshakeState::kWantAlpn;
    if (psk_.pending()) return HandshakeState::kWantPsk;
    if (awaits_telling_) return HandshakeState::kWantTelling;
    return operation_->kind == OperationKind::kSign ? HandshakeState::kWantSign : HandshakeState::kWantDecrypt;
  }
  SSL_clear_mode(ssl_, SSL_MODE_ASYNC);
  const int error = SSL_get_error(ssl_, value);
  awaits_answer_ = shared_with_node_ && !operated_ && SSL_in_init(ssl_) != 0;
  CloseGate();
  if (value == 1) OnFinished();
  DropSsl();
  if (value == 1) return HandshakeState::kDone;
  if (error == SSL_ERROR_WANT_READ) return HandshakeState::kWantRead;
  if (error == SSL_ERROR_WANT_WRITE) return HandshakeState::kWantWrite;
  // The peer has said goodbye: Node reads of it when it is woken, which is no failure to it.
  if (error == SSL_ERROR_ZERO_RETURN && shared_with_node_) return HandshakeState::kWantRead;
  failed_ = true;
  if (shared_with_node_) error_.Take();
  return HandshakeState::kFailed;
}

void Handshake::HoldSsl() {
  if (held_ != nullptr) return;
  SSL_up_ref(ssl_);
  held_.reset(ssl_);
  owner_->counters.paused++;
}

void Handshake::DropSsl() {
  if (held_ == nullptr) return;
  owner_->counters.paused--;
  held_.reset();
}

bool Handshake::Await(Operation operation) {
  operation_ = std::make_unique<Operation>(std::move(operation));
  if (cancelled_) operation_->state = Operation::State::kFailed;
  // Node's SSL_read and SSL_write resume this job as well; only Supply and Fail let it go on.
  while (operation_->state == Operation::State::kPending) {
    WatchAhead();
    if (ASYNC_pause_job() != 1) operation_->state = Operation::State::kFailed;
  }
  operated_ = true;
  last_ = std::move(operation_);
  return last_->state == Operation::State::kSucceeded;
}

void Handshake::AwaitTelling() {
  awaits_telling_ = !cancelled_;
  while (awaits_telling_) {
    if (ASYNC_pause_job() != 1) awaits_telling_ = false;
  }
}

const Operation* Handshake::pending() const {
  return operation_ != nullptr && operation_->state == Operation::State::kPending ? operation_.get() : nullptr;
}

bool Handshake::ReplayNext() {
  const auto self = shared_from_this();
  return ssl_ != nullptr && deferred_.ReplayNext(ssl_);
}

void Handshake::PutOff() {
  put_off_ = true;
  SetGate(true);
}

void Handshake::TakeTurn() {
  put_off_ = false;
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_) != 0) SetGate(false);
}

void Handshake::OnFinished() {
  // A client has finished before the server has looked at its signature (RFC 8446 §2): its alert may still come.
  if (ssl_ != nullptr && SSL_is_server(ssl_)) last_.reset();
  awaits_answer_ = false;
  gate_closed_ = false;
  if (!driving_) SetGate(false);
}

void Handshake::Dispose() {
  if (disposed_) return;
  disposed_ = true;
  cancelled_ = true;
  parked_ = false;
  if (counted_) owner_->counters.handshakes--;
  if (ssl_ != nullptr) {
    if (held_ != nullptr) Abandon();
    SetGate(false);
    if (Of(ssl_) == this) DeferredCallbacks::Release(ssl_);
    Leave();
    ssl_ = nullptr;
    DropSsl();
  }
  owner_->OnDisposed(this);
}

// Node's object for this SSL is going or gone: nothing of Node's may be called any more, but the job must run to its
// end, or its stack leaks. What it reports is queued, as ever, and nobody asks for it.
void Handshake::Abandon() {
  const ErrorGuard errors;
  SSL_set_msg_callback(ssl_, nullptr);  // a trace of Node's, into a BIO that goes with that object
  if (operation_ != nullptr) operation_->state = Operation::State::kFailed;
  alpn_.Decide(-1);
  awaits_telling_ = false;
  if (psk_.pending()) psk_.Decide({}, nullptr, 0);
  if (user_callbacks_.psk) PskDecision::Impose(ssl_);  // nobody puts them back; an ALPN callback is its context's
  driving_ = true;  // what the peer has sent meanwhile is not read any more
  const BioOwner discarded(SSL_get_wbio(ssl_));
  BIO_up_ref(discarded.get());
  SSL_set0_wbio(ssl_, BIO_new(BIO_s_null()));
  while (SSL_waiting_for_async(ssl_)) SSL_do_handshake(ssl_);
  SSL_clear_mode(ssl_, SSL_MODE_ASYNC);
  BIO_up_ref(discarded.get());
  SSL_set0_wbio(ssl_, discarded.get());
}

}  // namespace keyless
