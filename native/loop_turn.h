// Work for a turn of the event loop in which nothing of JavaScript is on the stack, as when libuv calls Node itself: what
// is told to Node then has its ticks, its microtasks and its exceptions seen to by Node, one call after the other.
#ifndef NATIVE_LOOP_TURN_H_
#define NATIVE_LOOP_TURN_H_

#include <node_api.h>
#include <uv.h>

namespace keyless {

// Owner: itself, as libuv gives its handles back in a later turn: it ends with its environment. Thread: the environment's.
// States: idle <-> asked; any -> closing.
class LoopTurn final {
 public:
  using Work = void (*)(void* data);

  // `work` is not called once the environment's cleanup hooks have begun.
  LoopTurn(napi_env env, Work work, void* data);
  LoopTurn(const LoopTurn&) = delete;
  LoopTurn& operator=(const LoopTurn&) = delete;

  // The work is done when the loop has looked for input, as if it were the last of that, and before setImmediate's. Until then it
  // neither sleeps nor ends.
  void Ask();
  uv_loop_t* loop() const { return loop_; }

 private:
  ~LoopTurn() = default;
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* turn);
  template <typename Handle>
  static void Close(Handle* handle);
  void Run();

  const Work work_;
  void* const data_;
  uv_loop_t* loop_ = nullptr;
  uv_check_t after_input_;
  uv_idle_t awake_;
  int open_ = 0;
  bool closing_ = false;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace keyless

#endif  // NATIVE_LOOP_TURN_H_
