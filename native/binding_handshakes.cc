// The handshakes of Node's sockets and of endpoints: everything by number, so that a late call finds nothing rather
// than something freed.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "binding.h"
#include "node_streams.h"
#include "openssl/error_guard.h"
#include "server_limits.h"
#include "ssl_slots.h"

namespace keyless {

namespace {

Napi::Value State(const Napi::CallbackInfo& info, HandshakeState state) {
  return Napi::Number::New(info.Env(), static_cast<int>(state));
}

Napi::Value Gone(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<int>(ResultCheck::kNoOperation));
}

// attachLast(): a handshake for the SSL that was made last on this thread. Returns its number, 0: there is none.
Napi::Value AttachLast(const Napi::CallbackInfo& info) {
  SSL* ssl = LastSsl();
  Environment* environment = Environment::Of(info);
  if (ssl == nullptr || Handshake::Of(ssl, environment) != nullptr) return Napi::Number::New(info.Env(), 0);
  return Napi::Number::New(info.Env(), environment->Attach(ssl, true)->id());
}

// limitSignatures(id, own, peers): see LimitSignatures.
Napi::Value LimitSignaturesOf(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || handshake->ssl() == nullptr) return info.Env().Undefined();
  LimitSignatures(handshake->ssl(), info[1].As<Napi::String>().Utf8Value(), info[2].As<Napi::String>().Utf8Value());
  return info.Env().Undefined();
}

// mayTakeKey(id): see Handshake::MayTakeKey.
Napi::Value MayTakeKey(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  return Napi::Boolean::New(info.Env(), handshake != nullptr && handshake->MayTakeKey());
}

// isPutOff(id): see Handshake::IsPutOff.
Napi::Value IsPutOff(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  return Napi::Boolean::New(info.Env(), handshake != nullptr && handshake->IsPutOff());
}

// peekRead(id): what Node has read from the peer and OpenSSL has not; undefined: nothing, or more than kMaxAheadBytes.
// Node's BIO, a queue of bytes, has no way to look but to take them out and put them back: nobody else may read meanwhile,
// as while Node (before 24.22) holds a ClientHello back.
Napi::Value PeekRead(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  BIO* bio = handshake == nullptr || handshake->ssl() == nullptr ? nullptr : SSL_get_rbio(handshake->ssl());
  const int size = bio == nullptr ? 0 : BIO_pending(bio);
  if (size <= 0 || size > kMaxAheadBytes || BIO_get_callback_ex(bio) != nullptr) return info.Env().Undefined();
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  const int taken = BIO_read(bio, bytes.data(), size);
  if (taken <= 0 || BIO_write(bio, bytes.data(), taken) != taken) return info.Env().Undefined();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), static_cast<size_t>(taken));
}

// helloExtension(id, type): the content of a ClientHello's extension, while OpenSSL tells of the message (Node 24.22, 26.12
// and later look at it then); undefined: it does not, or there is no such extension.
Napi::Value HelloExtension(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || handshake->ssl() == nullptr) return info.Env().Undefined();
  const unsigned char* content = nullptr;
  size_t size = 0;
  const unsigned int type = info[1].As<Napi::Number>().Uint32Value();
  if (SSL_client_hello_get0_ext(handshake->ssl(), type, &content, &size) != 1) return info.Env().Undefined();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), content, size);
}

// arm(id): the handshake parks before its private-key operation.
Napi::Value Arm(const Napi::CallbackInfo& info) {
  const ErrorGuard errors;
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake != nullptr) handshake->Arm();
  return info.Env().Undefined();
}

// alpnOffer(id): the client's ProtocolNameList without its length; undefined: no decision is waited for.
Napi::Value AlpnOffer(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || !handshake->alpn().pending()) return info.Env().Undefined();
  const AlpnDecision& alpn = handshake->alpn();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), alpn.offer(), alpn.offer_size());
}

// decideAlpn(id, offset): see AlpnDecision::Decide.
Napi::Value DecideAlpn(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || !handshake->alpn().pending()) return Gone(info);
  const HandshakeState state = handshake->DecideAlpn(info[1].As<Napi::Number>().Int32Value());
  return State(info, state);
}

// pskQuestion(id): what a pre-shared key is wanted for, [told, max_psk_size, max_identity_size], `told` a buffer or undefined;
// undefined: no decision is waited for.
Napi::Value PskQuestion(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || !handshake->psk().pending()) return env.Undefined();
  const PskDecision& psk = handshake->psk();
  Napi::Array question = Napi::Array::New(env, 3);
  if (psk.told()) question.Set(0U, Napi::Buffer<char>::Copy(env, psk.told()->data(), psk.told()->size()));
  question.Set(1U, Napi::Number::New(env, static_cast<double>(psk.max_psk_size())));
  question.Set(2U, Napi::Number::New(env, static_cast<double>(psk.max_identity_size())));
  return question;
}

// decidePsk(id, identity, psk): see PskDecision::Decide.
Napi::Value DecidePsk(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || !handshake->psk().pending()) return Gone(info);
  const auto psk = info[2].As<Napi::Uint8Array>();
  const HandshakeState state =
      handshake->DecidePsk(info[1].As<Napi::String>().Utf8Value(), psk.Data(), psk.ByteLength());
  return State(info, state);
}

// goOn(id): see Handshake::GoOn.
Napi::Value GoOn(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || !handshake->awaits_telling()) return Gone(info);
  return State(info, handshake->GoOn());
}

constexpr size_t kScratchIds = Environment::kScratchBytes / sizeof(uint32_t);

Napi::Value WriteIds(const Napi::CallbackInfo& info, const std::vector<uint32_t>& ids) {
  if (!ids.empty()) std::memcpy(Environment::Of(info)->scratch(), ids.data(), ids.size() * sizeof(uint32_t));
  return Napi::Number::New(info.Env(), static_cast<double>(ids.size()));
}

// takeParked(): the numbers of the handshakes that have parked since the last call, oldest first, written to the scratch
// memory, 4 bytes each. Returns how many; what does not fit comes with the next call.
Napi::Value TakeParked(const Napi::CallbackInfo& info) {
  return WriteIds(info, Environment::Of(info)->TakeParked(kScratchIds));
}

// takeFlooded(): as takeParked(), of the handshakes whose peers send ahead.
Napi::Value TakeFlooded(const Napi::CallbackInfo& info) {
  return WriteIds(info, Environment::Of(info)->TakeFlooded(kScratchIds));
}

UserCallbacks UserCallbacksOf(const Napi::CallbackInfo& info) {
  return {info[1].As<Napi::Boolean>().Value(), info[2].As<Napi::Boolean>().Value()};
}

// drive(id, asksForAlpn, asksForPsk): see Handshake::set_user_callbacks and Handshake::Drive.
Napi::Value Drive(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || handshake->ssl() == nullptr) return Gone(info);
  handshake->set_user_callbacks(UserCallbacksOf(info));
  return State(info, handshake->Drive());
}

// refuse(id, asksForAlpn, asksForPsk): see Handshake::Refuse.
Napi::Value Refuse(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr) return Gone(info);
  handshake->set_user_callbacks(UserCallbacksOf(info));
  return State(info, handshake->Refuse());
}

void WriteUint32(uint8_t* out, uint32_t value) { std::memcpy(out, &value, sizeof(value)); }

// operation(id): what the handshake waits for, written to the scratch memory in the machine's byte order: key number,
// scheme (0: decrypt), client version, size of the SNI host name, 4 bytes each, then the name and the input. Returns
// the input's size; 0: nothing is waited for. An input too large for the scratch memory is had from input().
Napi::Value PendingOperation(const Napi::CallbackInfo& info) {
  constexpr size_t kHeaderBytes = 16;
  constexpr size_t kMaxNameBytes = 255;  // RFC 1035 §2.3.4
  Environment* environment = Environment::Of(info);
  const auto handshake = environment->Find(IdArgument(info));
  const Operation* operation = handshake == nullptr ? nullptr : handshake->pending();
  if (operation == nullptr) return Napi::Number::New(info.Env(), 0);
  uint8_t* const scratch = environment->scratch();
  const char* name = SSL_get_servername(handshake->ssl(), TLSEXT_NAMETYPE_host_name);
  const size_t name_size = name == nullptr ? 0 : std::min(std::strlen(name), kMaxNameBytes);
  WriteUint32(scratch, operation->key->number);
  WriteUint32(scratch + 4, operation->scheme == nullptr ? 0 : operation->scheme->code);
  WriteUint32(scratch + 8, operation->client_version);
  WriteUint32(scratch + 12, static_cast<uint32_t>(name_size));
  if (name_size > 0) std::memcpy(scratch + kHeaderBytes, name, name_size);
  const size_t size = operation->input.size();
  if (kHeaderBytes + name_size + size <= Environment::kScratchBytes) {
    std::memcpy(scratch + kHeaderBytes + name_size, operation->input.data(), size);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(size));
}

// input(id): the input of the pending operation.
Napi::Value Input(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  const Operation* operation = handshake == nullptr ? nullptr : handshake->pending();
  if (operation == nullptr) return info.Env().Undefined();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), operation->input.data(), operation->input.size());
}

// Of RSA with the 16,384 bits that OpenSSL takes at most.
constexpr size_t kMostResultBytes = 2048;

ResultCheck CheckResult(const Operation& operation, const uint8_t* data, size_t size, bool verify) {
  const ResultCheck shape = CheckShape(operation, data, size);
  if (shape != ResultCheck::kAccepted || !verify) return shape;
  return VerifySignature(operation, data, size) ? ResultCheck::kAccepted : ResultCheck::kBadSignature;
}

// supply(id, bytes, verify): the state, or why the result was not taken (a ResultCheck; the operation still waits). A copy is
// looked at and used: other threads may write to the caller's memory.
Napi::Value Supply(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  const Operation* operation = handshake == nullptr ? nullptr : handshake->pending();
  if (operation == nullptr) return Gone(info);
  const auto bytes = info[1].As<Napi::Uint8Array>();
  std::vector<uint8_t> result(bytes.Data(), bytes.Data() + std::min(bytes.ByteLength(), kMostResultBytes + 1));
  const bool verify = operation->kind == OperationKind::kSign && info[2].As<Napi::Boolean>().Value();
  const ResultCheck check = CheckResult(*operation, result.data(), result.size(), verify);
  if (check == ResultCheck::kAccepted) return State(info, handshake->Supply(std::move(result)));
  OPENSSL_cleanse(result.data(), result.size());
  return Napi::Number::New(info.Env(), static_cast<int>(check));
}

Napi::Value Fail(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake == nullptr || handshake->pending() == nullptr) return Gone(info);
  return State(info, handshake->Fail());
}

// replay(id): hands Node the oldest callback that waits; returns whether there are more.
Napi::Value Replay(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  return Napi::Boolean::New(info.Env(), handshake != nullptr && handshake->ReplayNext());
}

// replayAll(id): hands Node all that wait, as OpenSSL does where Node has called it: what the handlers throw is kept or
// forgotten by V8, and thrown from here.
Napi::Value ReplayAll(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  while (handshake != nullptr && handshake->ReplayNext()) {
  }
  return info.Env().Undefined();
}

// putOff(id, kind): see Environment::PutOff; true where it is gone.
Napi::Value PutOff(const Napi::CallbackInfo& info) {
  Environment* environment = Environment::Of(info);
  const auto handshake = environment->Find(IdArgument(info));
  const auto kind = static_cast<TurnKind>(info[1].As<Napi::Number>().Int32Value());
  return Napi::Boolean::New(info.Env(), handshake == nullptr || environment->PutOff(handshake.get(), kind));
}

// wakeBy(descriptor): see Environment::WakeBy.
Napi::Value WakeBy(const Napi::CallbackInfo& info) {
  Environment::Of(info)->WakeBy(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

// hasError(descriptor): see HasError.
Napi::Value HasErrorOf(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), HasError(info[0].As<Napi::Number>().Int32Value()));
}

// putErrorBack(id): see Handshake::PutErrorBack.
Napi::Value PutErrorBack(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake != nullptr) handshake->PutErrorBack();
  return info.Env().Undefined();
}

// lastSignatureIsBad(id): whether the last signature used in this handshake does not verify with the certificate.
Napi::Value LastSignatureIsBad(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  const Operation* last = handshake == nullptr ? nullptr : handshake->last();
  const bool signature = last != nullptr && last->kind == OperationKind::kSign && !last->result.empty();
  return Napi::Boolean::New(info.Env(),
                            signature && !VerifySignature(*last, last->result.data(), last->result.size()));
}

Napi::Value Dispose(const Napi::CallbackInfo& info) {
  const auto handshake = Environment::Of(info)->Find(IdArgument(info));
  if (handshake != nullptr) handshake->Dispose();
  return info.Env().Undefined();
}

// clearErrors(): leaves nothing of a failed handshake in the thread's error queue.
Napi::Value ClearErrors(const Napi::CallbackInfo& info) {
  ERR_clear_error();
  return info.Env().Undefined();
}

}  // namespace

void ExportHandshakes(const CopyFunctions& functions) {
  functions.Add("attachLast", AttachLast);
  functions.Add("limitSignatures", LimitSignaturesOf);
  functions.Add("mayTakeKey", MayTakeKey);
  functions.Add("helloExtension", HelloExtension);
  functions.Add("peekRead", PeekRead);
  functions.Add("isPutOff", IsPutOff);
  functions.Add("arm", Arm);
  functions.Add("alpnOffer", AlpnOffer);
  functions.Add("decideAlpn", DecideAlpn);
  functions.Add("pskQuestion", PskQuestion);
  functions.Add("decidePsk", DecidePsk);
  functions.Add("goOn", GoOn);
  functions.Add("takeParked", TakeParked);
  functions.Add("takeFlooded", TakeFlooded);
  functions.Add("drive", Drive);
  functions.Add("refuse", Refuse);
  functions.Add("operation", PendingOperation);
  functions.Add("input", Input);
  functions.Add("supply", Supply);
  functions.Add("fail", Fail);
  functions.Add("replay", Replay);
  functions.Add("replayAll", ReplayAll);
  functions.Add("putOff", PutOff);
  functions.Add("wakeBy", WakeBy);
  functions.Add("hasError", HasErrorOf);
  functions.Add("putErrorBack", PutErrorBack);
  functions.Add("lastSignatureIsBad", LastSignatureIsBad);
  functions.Add("clearErrors", ClearErrors);
  functions.Add("dispose", Dispose);
}

}  // namespace keyless
