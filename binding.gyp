{
  "targets": [
    {
      "target_name": "keyless_tls",
      "sources": [
        "native/alpn_decision.cc",
        "native/psk_decision.cc",
        "native/audit_chain.cc",
        "native/binding.cc",
        "native/binding_contexts.cc",
        "native/binding_endpoints.cc",
        "native/binding_handshakes.cc",
        "native/binding_signers.cc",
        "native/context_records.cc",
        "native/deferred_callbacks.cc",
        "native/digest_signer.cc",
        "native/endpoint.cc",
        "native/environment.cc",
        "native/file_lock.cc",
        "native/freed_memory.cc",
        "native/handshake.cc",
        "native/hardening.cc",
        "native/system_call_filter.cc",
        "native/key_record.cc",
        "native/loop_turn.cc",
        "native/node_streams.cc",
        "native/openssl/saved_error.cc",
        "native/operation.cc",
        "native/peer_limits.cc",
        "native/platform.cc",
        "native/premaster.cc",
        "native/process_signals.cc",
        "native/program.cc",
        "native/provider/asym_cipher.cc",
        "native/provider/key_management.cc",
        "native/provider/provider.cc",
        "native/provider/signature.cc",
        "native/same_name.cc",
        "native/server_limits.cc",
        "native/signature_schemes.cc",
        "native/signing_threads.cc",
        "native/ssl_slots.cc",
        "native/staged_writes.cc",
        "native/ticket_keys.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED",
                  "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc": ["-std=c++17", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden", "-fno-exceptions"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "conditions": [["OS=='linux'", {"ldflags": ["-Wl,-z,now"]}]],
      "xcode_settings": {
        "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
        "GCC_ENABLE_CPP_EXCEPTIONS": "NO",
        "GCC_SYMBOLS_PRIVATE_EXTERN": "YES"
      }
    }
  ]
}
