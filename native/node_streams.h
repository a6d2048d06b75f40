// Node's streams of libuv's (TCP connections and pipes), by their descriptors.
#ifndef NATIVE_NODE_STREAMS_H_
#define NATIVE_NODE_STREAMS_H_

#include <uv.h>

namespace keyless {

// Whether libuv keeps its streams where this addon was compiled to look for them: tried once, with a stream of ours. Before
// ReadNothing, which does nothing otherwise.
bool KnowsStreams(uv_loop_t* loop);

// Who reads from a descriptor. The stream is named and not held: JavaScript may close it, and what it opens then gets the number.
struct StreamReader {
  int descriptor = -1;
  uv_stream_t* stream = nullptr;  // nullptr: nobody reads there
};

// `descriptor` must be that of a stream of Node's, which only who has just asked that stream for it knows.
StreamReader ReaderOf(uv_loop_t* loop, int descriptor);

// Has a stream's reader called in the way in which libuv calls it when it finds nothing to read: Node's TLSWrap then flushes,
// reads and writes what OpenSSL has. Main stack only, and nothing of JavaScript should be on it. In the same turn of the loop as
// ReaderOf: what is closed meanwhile is freed in a later one, so that nothing else comes to be where the stream was.
// Returns false where that stream does not read there any more: then nothing has been done.
bool ReadNothing(uv_loop_t* loop, const StreamReader& reader);

// Whether the next read or write of a connection is told of an error (a reset), and no later one. Leaves it there.
bool HasError(int descriptor);

}  // namespace keyless

#endif  // NATIVE_NODE_STREAMS_H_
