#include "binding.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "digest_signer.h"
#include "message_hash.h"
#include "signing_threads.h"

namespace keyless {

namespace {

// createDigestSigner(pkcs8, hash, pss): a value for signDigest(); undefined: the key does not sign so. The caller wipes pkcs8.
Napi::Value CreateDigestSigner(const Napi::CallbackInfo& info) {
  const auto pkcs8 = info[0].As<Napi::Uint8Array>();
  const std::string hash = info[1].As<Napi::String>().Utf8Value();
  std::unique_ptr<DigestSigner> signer =
      DigestSigner::Create(pkcs8.Data(), pkcs8.ByteLength(), hash.c_str(), info[2].As<Napi::Boolean>());
  if (signer == nullptr) return info.Env().Undefined();
  const auto value = Napi::External<DigestSigner>::New(info.Env(), signer.get(),
                                                       [](Napi::Env, DigestSigner* owned) { delete owned; });
  if (!value.IsEmpty()) signer.release();
  return value;
}

using SignFunction = size_t (DigestSigner::*)(const uint8_t*, size_t, uint8_t*);

// signDigest(signer, digest, into), signMessage(signer, message, into): how many bytes of `into` the signature has; 0: it
// failed. `into` has room for signatureBytes(signer).
template <SignFunction Sign>
Napi::Value SignInto(const Napi::CallbackInfo& info) {
  DigestSigner* signer = info[0].As<Napi::External<DigestSigner>>().Data();
  const auto input = info[1].As<Napi::Uint8Array>();
  auto into = info[2].As<Napi::Uint8Array>();
  if (into.ByteLength() < signer->max_bytes()) return Napi::Number::New(info.Env(), 0);
  const size_t bytes = (signer->*Sign)(input.Data(), input.ByteLength(), into.Data());
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

Napi::Value SignatureBytes(const Napi::CallbackInfo& info) {
  const DigestSigner* signer = info[0].As<Napi::External<DigestSigner>>().Data();
  return Napi::Number::New(info.Env(), static_cast<double>(signer->max_bytes()));
}

// createMessageHash(name): a value for isDigest(); undefined: OpenSSL has no such hash here.
Napi::Value CreateMessageHash(const Napi::CallbackInfo& info) {
  std::unique_ptr<MessageHash> hash = MessageHash::Create(info[0].As<Napi::String>().Utf8Value().c_str());
  if (hash == nullptr) return info.Env().Undefined();
  const auto value = Napi::External<MessageHash>::New(info.Env(), hash.get(),
                                                      [](Napi::Env, MessageHash* owned) { delete owned; });
  if (!value.IsEmpty()) hash.release();
  return value;
}

// isDigest(hash, message, digest): whether it is the message's.
Napi::Value IsDigest(const Napi::CallbackInfo& info) {
  MessageHash* hash = info[0].As<Napi::External<MessageHash>>().Data();
  const auto message = info[1].As<Napi::Uint8Array>();
  const auto digest = info[2].As<Napi::Uint8Array>();
  const bool is = hash->Matches(message.Data(), message.ByteLength(), digest.Data(), digest.ByteLength());
  return Napi::Boolean::New(info.Env(), is);
}

// startSigning(threads, onSigned): how many threads there are now, which call onSigned() in a turn of the loop when there is
// something to take; 0: none. Once for each environment.
Napi::Value StartSigning(const Napi::CallbackInfo& info) {
  const uint32_t threads = info[0].As<Napi::Number>().Uint32Value();
  const size_t started = Environment::Of(info)->StartSigning(threads, info[1].As<Napi::Function>());
  return Napi::Number::New(info.Env(), static_cast<double>(started));
}

// queueDigests(id, signers, digests). Returns false where there is no memory, or the environment is being ended: then nothing is
// signed.
Napi::Value QueueDigests(const Napi::CallbackInfo& info) {
  SigningThreads* threads = Environment::Of(info)->signing_threads();
  auto job = std::make_unique<SigningJob>(IdArgument(info));
  const auto signers = info[1].As<Napi::Array>();
  const auto digests = info[2].As<Napi::Array>();
  bool added = threads != nullptr;
  for (uint32_t index = 0; added && index < signers.Length(); index += 1) {
    const Napi::Value signer = signers[index];
    const Napi::Value value = digests[index];
    // What cannot be read any more.
    if (signer.IsEmpty() || value.IsEmpty()) return Napi::Boolean::New(info.Env(), false);
    const auto digest = value.As<Napi::Uint8Array>();
    added = job->Add(signer.As<Napi::External<DigestSigner>>().Data(), digest.Data(), digest.ByteLength());
  }
  if (added) threads->Queue(std::move(job));
  return Napi::Boolean::New(info.Env(), added);
}

// takeSigned(callback): callback(id, signatures, sizes, milliseconds of CPU) for each job that is done: its signatures one after
// the other in one piece of memory (one of its own would cost each more than the rest of its way back), and how many bytes each
// has; 0: it failed.
void TakeSigned(const Napi::CallbackInfo& info) {
  SigningThreads* threads = Environment::Of(info)->signing_threads();
  if (threads == nullptr) return;
  for (const std::unique_ptr<SigningJob>& job : threads->TakeSigned()) {
    job->GiveBack();
    const Napi::HandleScope scope(info.Env());
    const auto signatures = Napi::Buffer<uint8_t>::New(info.Env(), job->signature_bytes());
    Napi::Array sizes = Napi::Array::New(info.Env(), job->size());
    // The environment is being ended: nobody waits any more.
    if (signatures.IsEmpty() || sizes.IsEmpty()) return;
    uint8_t* end = signatures.Data();
    for (uint32_t index = 0; index < job->size(); index += 1) {
      const std::vector<uint8_t>& signature = job->signature(index);
      end = std::copy(signature.begin(), signature.end(), end);
      sizes.Set(index, static_cast<double>(signature.size()));
    }
    const auto milliseconds = Napi::Number::New(info.Env(), job->milliseconds());
    info[0].As<Napi::Function>().Call({Napi::Number::New(info.Env(), job->id()), signatures, sizes, milliseconds});
  }
}

// holdForSigning(hold): whether the loop goes on for what is being signed.
void HoldForSigning(const Napi::CallbackInfo& info) {
  Environment::Of(info)->HoldForSigning(info[0].As<Napi::Boolean>());
}

}  // namespace

void ExportSigners(const CopyFunctions& functions) {
  functions.Add("createDigestSigner", CreateDigestSigner);
  functions.Add("signDigest", SignInto<&DigestSigner::Sign>);
  functions.Add("signMessage", SignInto<&DigestSigner::SignMessage>);
  functions.Add("createMessageHash", CreateMessageHash);
  functions.Add("isDigest", IsDigest);
  functions.Add("startSigning", StartSigning);
  functions.Add("queueDigests", QueueDigests);
  functions.Add("takeSigned", TakeSigned);
  functions.Add("holdForSigning", HoldForSigning);
  functions.Add("signatureBytes", SignatureBytes);
}

}  // namespace keyless
