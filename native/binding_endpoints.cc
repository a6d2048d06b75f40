// Endpoints: the socketless Handshake of lib/engine/handshake.ts.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "binding.h"

namespace keyless {

namespace {

// What is read in an environment that is being ended (a worker's) is empty, of which only the type may be asked.

std::string Text(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

int Number(const Napi::Value& value) { return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : 0; }

bool Flag(const Napi::Value& value) { return value.IsBoolean() && value.As<Napi::Boolean>().Value(); }

std::vector<std::string> Texts(const Napi::Value& value) {
  std::vector<std::string> texts;
  if (!value.IsArray()) return texts;
  const auto list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) texts.push_back(Text(list.Get(i)));
  return texts;
}

std::vector<uint8_t> Bytes(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  const auto bytes = value.As<Napi::Uint8Array>();
  return {bytes.Data(), bytes.Data() + bytes.ByteLength()};
}

EndpointOptions ReadOptions(const Napi::Object& options) {
  EndpointOptions result;
  result.server = Flag(options.Get("server"));
  result.certificate_chains = Texts(options.Get("certificateChains"));
  result.ca = Text(options.Get("ca"));
  const Napi::Value ciphers = options.Get("ciphers");
  if (ciphers.IsString()) result.ciphers = Text(ciphers);
  result.cipher_suites = Text(options.Get("cipherSuites"));
  result.sigalgs = Text(options.Get("sigalgs"));
  result.groups = Text(options.Get("groups"));
  result.servername = Text(options.Get("servername"));
  result.certificate_name = Text(options.Get("certificateName"));
  result.min_version = Number(options.Get("minVersion"));
  result.max_version = Number(options.Get("maxVersion"));
  result.request_certificate = Flag(options.Get("requestCert"));
  result.alpn = Bytes(options.Get("alpn"));
  return result;
}

// The oldest entry of OpenSSL's queue, which is the reason; the queue is empty afterwards.
Napi::Value TakeReason(const Napi::CallbackInfo& info) {
  const unsigned long code = ERR_get_error();  // NOLINT(runtime/int)
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? info.Env().Undefined() : Napi::String::New(info.Env(), reason);
}

// createEndpoint(options): an endpoint to which useKey() may add keys, or undefined (see takeReason()).
Napi::Value CreateEndpoint(const Napi::CallbackInfo& info) {
  ERR_clear_error();
  std::unique_ptr<Endpoint> endpoint = Endpoint::Make(ReadOptions(info[0].As<Napi::Object>()));
  if (endpoint == nullptr) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), Environment::Of(info)->AddEndpoint(std::move(endpoint)));
}

// startEndpoint(id): the number of its handshake; undefined: OpenSSL refused.
Napi::Value StartEndpoint(const Napi::CallbackInfo& info) {
  Environment* environment = Environment::Of(info);
  Endpoint* endpoint = environment->FindEndpoint(IdArgument(info));
  if (endpoint == nullptr || !endpoint->Start()) return info.Env().Undefined();
  auto handshake = environment->Attach(endpoint->ssl(), false);
  endpoint->set_handshake(handshake);
  return Napi::Number::New(info.Env(), handshake->id());
}

// feed(id, bytes): false: they were not taken, see Endpoint::Feed and takeReason().
Napi::Value Feed(const Napi::CallbackInfo& info) {
  Endpoint* endpoint = Environment::Of(info)->FindEndpoint(IdArgument(info));
  const auto bytes = info[1].As<Napi::Uint8Array>();
  return Napi::Boolean::New(info.Env(), endpoint != nullptr && endpoint->Feed(bytes.Data(), bytes.ByteLength()));
}

Napi::Value Drain(const Napi::CallbackInfo& info) {
  Endpoint* endpoint = Environment::Of(info)->FindEndpoint(IdArgument(info));
  const std::vector<uint8_t> bytes = endpoint == nullptr ? std::vector<uint8_t>() : endpoint->Drain();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), bytes.size());
}

Napi::Value PendingOutput(const Napi::CallbackInfo& info) {
  const Endpoint* endpoint = Environment::Of(info)->FindEndpoint(IdArgument(info));
  const size_t size = endpoint == nullptr ? 0 : BIO_pending(SSL_get_wbio(endpoint->ssl()));
  return Napi::Number::New(info.Env(), static_cast<double>(size));
}

// read(id, buffer): bytes read, 0: the peer has closed, negative: nothing there.
Napi::Value Read(const Napi::CallbackInfo& info) {
  Endpoint* endpoint = Environment::Of(info)->FindEndpoint(IdArgument(info));
  auto bytes = info[1].As<Napi::Uint8Array>();
  return Napi::Number::New(info.Env(), endpoint == nullptr ? -1 : endpoint->Read(bytes.Data(), bytes.ByteLength()));
}

Napi::Value Write(const Napi::CallbackInfo& info) {
  Endpoint* endpoint = Environment::Of(info)->FindEndpoint(IdArgument(info));
  const auto bytes = info[1].As<Napi::Uint8Array>();
  return Napi::Boolean::New(info.Env(), endpoint != nullptr && endpoint->Write(bytes.Data(), bytes.ByteLength()));
}

// describe(id): what was negotiated.
Napi::Value Describe(const Napi::CallbackInfo& info) {
  Endpoint* endpoint = Environment::Of(info)->FindEndpoint(IdArgument(info));
  if (endpoint == nullptr) return info.Env().Undefined();
  SSL* ssl = endpoint->ssl();
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result.Set("protocol", SSL_get_version(ssl));
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  result.Set("cipher", cipher == nullptr ? env.Undefined() : Napi::String::New(env, SSL_CIPHER_get_name(cipher)));
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &size);
  result.Set("alpnProtocol", size == 0 ? env.Undefined()
                                       : Napi::String::New(env, reinterpret_cast<const char*>(protocol), size));
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  result.Set("servername", name == nullptr ? env.Undefined() : Napi::String::New(env, name));
  return result;
}

Napi::Value RemoveEndpoint(const Napi::CallbackInfo& info) {
  Environment::Of(info)->RemoveEndpoint(IdArgument(info));
  return info.Env().Undefined();
}

}  // namespace

void ExportEndpoints(const CopyFunctions& functions) {
  functions.Add("takeReason", TakeReason);
  functions.Add("createEndpoint", CreateEndpoint);
  functions.Add("startEndpoint", StartEndpoint);
  functions.Add("feed", Feed);
  functions.Add("drain", Drain);
  functions.Add("pendingOutput", PendingOutput);
  functions.Add("read", Read);
  functions.Add("write", Write);
  functions.Add("describe", Describe);
  functions.Add("removeEndpoint", RemoveEndpoint);
}

}  // namespace keyless
