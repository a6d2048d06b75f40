// Node's streams of libuv's (TCP connections and pipes), by their descriptors.
#ifndef NATIVE_NODE_STREAMS_H_
#define NATIVE_NODE_STREAMS_H_

#include <uv.h>

namespace keyless {

// Whether libuv keeps its streams where this addon was compiled to look for them: tried once, with a stream of ours. Before
// ReadNothing, which does nothing otherwise.
bool KnowsStreams(uv_loop_t* loop);

// Has a stream's reader called in the way in which libuv calls it when it finds nothing to read: Node's TLSWrap then flushes,
// reads and writes what OpenSSL has. Main stack only, and nothing of JavaScript should be on it.
// Returns false where there is no such stream, or it is not being read from: then nothing has been done.
bool ReadNothing(uv_loop_t* loop, int descriptor);

}  // namespace keyless

#endif  // NATIVE_NODE_STREAMS_H_
