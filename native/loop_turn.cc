#include "loop_turn.h"

namespace keyless {

LoopTurn::LoopTurn(napi_env env, Work work, void* data) : work_(work), data_(data) {
  napi_get_uv_event_loop(env, &loop_);
  uv_check_init(loop_, &after_input_);
  uv_idle_init(loop_, &awake_);
  after_input_.data = awake_.data = this;
  open_ = 2;
  napi_add_async_cleanup_hook(env, OnCleanup, this, &hook_);
}

void LoopTurn::Ask() {
  if (closing_) return;
  uv_check_start(&after_input_, [](uv_check_t* handle) { static_cast<LoopTurn*>(handle->data)->Run(); });
  uv_idle_start(&awake_, [](uv_idle_t*) {});
}

// What is asked for meanwhile is for a later turn: work that asks again keeps nobody from being read.
void LoopTurn::Run() {
  uv_check_stop(&after_input_);
  uv_idle_stop(&awake_);
  work_(data_);
}

void LoopTurn::OnCleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* turn = static_cast<LoopTurn*>(data);
  turn->closing_ = true;
  Close(&turn->after_input_);
  Close(&turn->awake_);
}

template <typename Handle>
void LoopTurn::Close(Handle* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* closed) {
    auto* turn = static_cast<LoopTurn*>(closed->data);
    if (--turn->open_ > 0) return;
    napi_remove_async_cleanup_hook(turn->hook_);
    delete turn;
  });
}

}  // namespace keyless
