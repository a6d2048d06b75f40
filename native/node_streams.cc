#include "node_streams.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>

namespace keyless {

namespace {

// libuv's own suggestion.
constexpr size_t kSuggestedBytes = 64 * 1024;

enum class Knowledge { kUntried, kNone, kSome };
std::atomic<Knowledge> knowledge{Knowledge::kUntried};

// What a loop watches a descriptor with is a member of the stream, if a stream reads from it. libuv has no function for it; the
// fields are part of its ABI, as all of its first version's.
uv_stream_t* WatcherOf(uv_loop_t* loop, int descriptor) {
  if (descriptor < 0 || static_cast<unsigned int>(descriptor) >= loop->nwatchers) return nullptr;
  uv__io_t* const watcher = loop->watchers[descriptor];
  if (watcher == nullptr || watcher->fd != descriptor || (watcher->pevents & POLLIN) == 0) return nullptr;
  return reinterpret_cast<uv_stream_t*>(reinterpret_cast<char*>(watcher) - offsetof(uv_stream_t, io_watcher));
}

void OnAlloc(uv_handle_t*, size_t, uv_buf_t* buffer) { *buffer = uv_buf_init(nullptr, 0); }
void OnRead(uv_stream_t*, ssize_t, const uv_buf_t*) {}

// Takes the descriptor.
bool FindsReader(uv_loop_t* loop, int descriptor) {
  auto* const pipe = new uv_pipe_t;
  auto* const stream = reinterpret_cast<uv_stream_t*>(pipe);
  uv_pipe_init(loop, pipe, 0);
  bool found = false;
  if (uv_pipe_open(pipe, descriptor) != 0) {
    close(descriptor);
  } else if (WatcherOf(loop, descriptor) == nullptr && uv_read_start(stream, OnAlloc, OnRead) == 0) {
    found = WatcherOf(loop, descriptor) == stream && stream->loop == loop && stream->alloc_cb == OnAlloc &&
            stream->read_cb == OnRead;
    uv_read_stop(stream);
    found = found && WatcherOf(loop, descriptor) == nullptr;
  }
  uv_close(reinterpret_cast<uv_handle_t*>(pipe), [](uv_handle_t* closed) { delete reinterpret_cast<uv_pipe_t*>(closed); });
  return found;
}

}  // namespace

bool KnowsStreams(uv_loop_t* loop) {
  if (knowledge == Knowledge::kUntried) {
    constexpr unsigned int kFirstVersion = 1;
    uv_os_sock_t ends[2];
    if (uv_version() >> 16 != kFirstVersion || uv_socketpair(SOCK_STREAM, 0, ends, 0, 0) != 0) return false;
    knowledge = FindsReader(loop, ends[0]) ? Knowledge::kSome : Knowledge::kNone;
    close(ends[1]);
  }
  return knowledge == Knowledge::kSome;
}

StreamReader ReaderOf(uv_loop_t* loop, int descriptor) {
  if (knowledge != Knowledge::kSome) return {};
  return {descriptor, WatcherOf(loop, descriptor)};
}

bool ReadNothing(uv_loop_t* loop, const StreamReader& reader) {
  // Whatever watches there now is not looked into before it is known to be that stream.
  if (reader.stream == nullptr || WatcherOf(loop, reader.descriptor) != reader.stream) return false;
  uv_stream_t* const stream = reader.stream;
  uv_buf_t buffer = uv_buf_init(nullptr, 0);
  stream->alloc_cb(reinterpret_cast<uv_handle_t*>(stream), kSuggestedBytes, &buffer);
  stream->read_cb(stream, 0, &buffer);
  return true;
}

bool HasError(int descriptor) {
  if (descriptor < 0) return false;
  pollfd asked = {descriptor, 0, 0};
  return poll(&asked, 1, 0) == 1 && (asked.revents & POLLERR) != 0;
}

}  // namespace keyless
