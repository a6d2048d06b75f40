// What TypeScript calls: read arguments, call, return data. lib/engine/addon.ts is the typed contract; arguments are
// checked there, in TypeScript.
#ifndef NATIVE_BINDING_H_
#define NATIVE_BINDING_H_

#include <napi.h>

#include "environment.h"

namespace keyless {

void ExportContexts(Napi::Object exports);
void ExportHandshakes(Napi::Object exports);
void ExportEndpoints(Napi::Object exports);
void ExportSigners(Napi::Object exports);

inline uint32_t IdArgument(const Napi::CallbackInfo& info) { return info[0].As<Napi::Number>().Uint32Value(); }

}  // namespace keyless

#endif  // NATIVE_BINDING_H_
