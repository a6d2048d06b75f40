#include "binding.h"

#include <memory>
#include <utility>
#include <vector>

#include "digest_signer.h"

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

// Signs some digests in libuv's thread pool, one after another: the way there and back is paid once.
//
// Owner: itself, until it has called back. Threads: made and completed on the JavaScript thread, Execute() on one of the
// pool; it touches only what it owns. States: queued -> executed -> completed.
class SigningJob : public Napi::AsyncWorker {
 public:
  explicit SigningJob(const Napi::Function& callback) : Napi::AsyncWorker(callback, "keyless-tls:sign") {}

  // The signer's own context stays with the JavaScript thread. Returns false where there is no memory.
  bool Add(const DigestSigner& signer, const Napi::Uint8Array& digest) {
    Task task;
    task.signer = signer.Copy();
    if (task.signer == nullptr) return false;
    task.digest.assign(digest.Data(), digest.Data() + digest.ByteLength());
    tasks_.push_back(std::move(task));
    return true;
  }

  void Execute() override {
    for (Task& task : tasks_) {
      task.signature.resize(task.signer->max_bytes());
      task.signature.resize(task.signer->Sign(task.digest.data(), task.digest.size(), task.signature.data()));
    }
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    Napi::Array signatures = Napi::Array::New(Env(), tasks_.size());
    for (uint32_t index = 0; index < tasks_.size(); index += 1) {
      const std::vector<uint8_t>& signature = tasks_[index].signature;
      signatures.Set(index, Napi::Buffer<uint8_t>::Copy(Env(), signature.data(), signature.size()));
    }
    Callback().Call({signatures});
  }

 private:
  struct Task {
    std::unique_ptr<DigestSigner> signer;
    std::vector<uint8_t> digest;
    std::vector<uint8_t> signature;
  };

  std::vector<Task> tasks_;
};

// signDigestsInPool(signers, digests, callback): callback(signatures) once, with an empty one for each that failed.
// Returns false where there is no memory: then it is not called.
Napi::Value SignDigestsInPool(const Napi::CallbackInfo& info) {
  const auto signers = info[0].As<Napi::Array>();
  const auto digests = info[1].As<Napi::Array>();
  auto job = std::make_unique<SigningJob>(info[2].As<Napi::Function>());
  for (uint32_t index = 0; index < signers.Length(); index += 1) {
    const Napi::Value signer = signers[index];
    const Napi::Value digest = digests[index];
    if (!job->Add(*signer.As<Napi::External<DigestSigner>>().Data(), digest.As<Napi::Uint8Array>())) {
      return Napi::Boolean::New(info.Env(), false);
    }
  }
  job.release()->Queue();
  return Napi::Boolean::New(info.Env(), true);
}

}  // namespace

void ExportSigners(Napi::Object exports) {
  const Napi::Env env = exports.Env();
  exports.Set("createDigestSigner", Napi::Function::New(env, CreateDigestSigner));
  exports.Set("signDigest", Napi::Function::New(env, SignInto<&DigestSigner::Sign>));
  exports.Set("signMessage", Napi::Function::New(env, SignInto<&DigestSigner::SignMessage>));
  exports.Set("signDigestsInPool", Napi::Function::New(env, SignDigestsInPool));
  exports.Set("signatureBytes", Napi::Function::New(env, SignatureBytes));
}

}  // namespace keyless
