#include "binding.h"

#include <memory>
#include <optional>
#include <vector>

#include "audit_chain.h"
#include "file_lock.h"
#include "hardening.h"
#include "platform.h"
#include "process_signals.h"
#include "program.h"
#include "same_name.h"
#include "tether.h"

namespace keyless {

namespace {

// setScratch(bytes): memory of Environment::kScratchBytes that operation() writes to.
Napi::Value SetScratch(const Napi::CallbackInfo& info) {
  Environment::Of(info)->set_scratch(info[0].As<Napi::Uint8Array>());
  return info.Env().Undefined();
}

Napi::Value SetParkListener(const Napi::CallbackInfo& info) {
  Environment::Of(info)->set_park_listener(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

// setTurnListeners(drive, takeTurn, endTurn): see Environment::SetTurnListeners.
Napi::Value SetTurnListeners(const Napi::CallbackInfo& info) {
  Environment::Of(info)->SetTurnListeners(info[0].As<Napi::Function>(), info[1].As<Napi::Function>(),
                                          info[2].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Value SetFloodListener(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Environment::Of(info)->SetFloodListener(info[0].As<Napi::Function>()));
}

Napi::Value Stats(const Napi::CallbackInfo& info) {
  const EngineCounters& counters = Environment::Of(info)->counters;
  Napi::Object stats = Napi::Object::New(info.Env());
  stats.Set("handshakes", counters.handshakes);
  stats.Set("paused", counters.paused);
  return stats;
}

// hardenProcess(): bits of Hardening.
Napi::Value Harden(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), HardenProcess()); }

// ignoreSignals(): see IgnoreSignals().
void Ignore(const Napi::CallbackInfo&) { IgnoreSignals(); }

// A list of Uint8Arrays: what the system takes is not always text.
std::vector<std::string> WordsOf(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<std::string> words;
  for (uint32_t index = 0; index < list.Length(); ++index) {
    const auto word = list.Get(index).As<Napi::Uint8Array>();
    words.emplace_back(reinterpret_cast<const char*>(word.Data()), word.ByteLength());
  }
  return words;
}

// startChildProgram(words, environment): [process, channel], or errno; see ChildPrograms::Start().
Napi::Value StartChildProgram(const Napi::CallbackInfo& info) {
  ChildProgram child = {};
  const int problem =
      Environment::Of(info)->child_programs()->Start(WordsOf(info[0]), WordsOf(info[1]), &child);
  if (problem != 0) return Napi::Number::New(info.Env(), problem);
  Napi::Array started = Napi::Array::New(info.Env(), 2);
  started.Set(uint32_t{0}, child.pid);
  started.Set(uint32_t{1}, child.channel);
  return started;
}

// endChildProgram(process): see ChildPrograms::End().
Napi::Value EndChildProgram(const Napi::CallbackInfo& info) {
  const std::optional<int> result =
      Environment::Of(info)->child_programs()->End(info[0].As<Napi::Number>().Int32Value());
  return result.has_value() ? Napi::Number::New(info.Env(), *result) : info.Env().Undefined();
}

// becomeProgram(words): errno, if it returns; one word at least.
Napi::Value Become(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), BecomeProgram(WordsOf(info[0])));
}

// endProcess(code): see EndProcess().
void End(const Napi::CallbackInfo& info) { EndProcess(info[0].As<Napi::Number>().Int32Value()); }

// lockFile(descriptor): 0, or errno.
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), TryLockFile(info[0].As<Napi::Number>().Int32Value()));
}

// tieTo(descriptor): see TieOrEnd().
Napi::Value Tie(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), TieOrEnd(info[0].As<Napi::Number>().Int32Value()));
}

// chainLines(lines, ends, count, head): see ChainLines().
Napi::Value Chain(const Napi::CallbackInfo& info) {
  auto lines = info[0].As<Napi::Uint8Array>();
  const auto ends = info[1].As<Napi::Uint32Array>();
  const size_t count = info[2].As<Napi::Number>().Uint32Value();
  auto head = info[3].As<Napi::Uint8Array>();
  const bool fits = count <= ends.ElementLength() && head.ByteLength() == 32;
  const bool done = fits && ChainLines(lines.Data(), lines.ByteLength(), ends.Data(), count, head.Data());
  return Napi::Boolean::New(info.Env(), done);
}

// isSameName(one, other): see IsSameName().
Napi::Value SameName(const Napi::CallbackInfo& info) {
  const auto one = info[0].As<Napi::Uint8Array>();
  const auto other = info[1].As<Napi::Uint8Array>();
  const bool same = IsSameName(one.Data(), one.ByteLength(), other.Data(), other.ByteLength());
  return Napi::Boolean::New(info.Env(), same);
}

#ifdef KEYLESS_SANITIZER_CANARY
// sanitizerCanary(kind): does what the sanitizers of this build must find, to prove that they would.
Napi::Value SanitizerCanary(const Napi::CallbackInfo& info) {
  const std::string kind = info[0].As<Napi::String>().Utf8Value();
  const std::vector<uint8_t> bytes(8);
  const volatile size_t beyond = bytes.size();
  const volatile int width = 40;
  int result = 0;
  if (kind == "overflow") result = bytes.data()[beyond];
  if (kind == "shift") result = 1 << width;
  return Napi::Number::New(info.Env(), result);
}
#endif

// All copies of lib/ that have opened this addon in one Node environment.
using Environments = std::vector<std::unique_ptr<Environment>>;

// open(): the functions, for one copy of lib/ alone.
Napi::Value Open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto* const all = env.GetInstanceData<Environments>();
  Environment* const environment = all->emplace_back(std::make_unique<Environment>(env)).get();
  Napi::Object exports = Napi::Object::New(env);
  exports.Set("scratchBytes", static_cast<uint32_t>(Environment::kScratchBytes));
  const CopyFunctions functions(exports, environment);
  functions.Add("setParkListener", SetParkListener);
  functions.Add("setTurnListeners", SetTurnListeners);
  functions.Add("setFloodListener", SetFloodListener);
  functions.Add("setScratch", SetScratch);
  functions.Add("hardenProcess", Harden);
  functions.Add("ignoreSignals", Ignore);
  functions.Add("becomeProgram", Become);
  functions.Add("endProcess", End);
  functions.Add("startChildProgram", StartChildProgram);
  functions.Add("endChildProgram", EndChildProgram);
  functions.Add("lockFile", LockFile);
  functions.Add("tieTo", Tie);
  functions.Add("chainLines", Chain);
  functions.Add("isSameName", SameName);
  functions.Add("stats", Stats);
  ExportContexts(functions);
  ExportHandshakes(functions);
  ExportEndpoints(functions);
  ExportSigners(functions);
  return exports;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  // Empty: all is well. Otherwise there is nothing to open.
  const std::string& problem = PreparePlatform();
  exports.Set("platformProblem", problem);
#ifdef KEYLESS_SANITIZER_CANARY
  exports.Set("sanitizerCanary", Napi::Function::New(env, SanitizerCanary));
#endif
  if (!problem.empty()) return exports;
  env.SetInstanceData(new Environments());
  exports.Set("open", Napi::Function::New(env, Open));
  return exports;
}

}  // namespace

}  // namespace keyless

Napi::Object InitAddon(Napi::Env env, Napi::Object exports) { return keyless::Init(env, exports); }

NODE_API_MODULE(keyless_tls, InitAddon)
