// What TypeScript calls: read arguments, call, return data. lib/engine/addon.ts is the typed contract; arguments are
// checked there, in TypeScript.
#ifndef NATIVE_BINDING_H_
#define NATIVE_BINDING_H_

#include <napi.h>

#include "environment.h"

namespace keyless {

// The functions of one copy of lib/: each finds the Environment that it has.
// Owner: the stack frame that makes them. Thread: the environment's.
class CopyFunctions {
 public:
  CopyFunctions(Napi::Object functions, Environment* environment) : functions_(functions), environment_(environment) {}

  template <typename Function>
  void Add(const char* name, Function function) const {
    Napi::Object(functions_).Set(name, Napi::Function::New(functions_.Env(), function, name, environment_));
  }

 private:
  const Napi::Object functions_;
  Environment* const environment_;
};

void ExportContexts(const CopyFunctions& functions);
void ExportHandshakes(const CopyFunctions& functions);
void ExportEndpoints(const CopyFunctions& functions);
void ExportSigners(const CopyFunctions& functions);

inline uint32_t IdArgument(const Napi::CallbackInfo& info) { return info[0].As<Napi::Number>().Uint32Value(); }

}  // namespace keyless

#endif  // NATIVE_BINDING_H_
