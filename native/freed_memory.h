// Memory that somebody else frees without wiping it.
#ifndef NATIVE_FREED_MEMORY_H_
#define NATIVE_FREED_MEMORY_H_

namespace keyless {

// While one of these lives, what is freed in this process is overwritten: OpenSSL wipes the keys that it reads and writes, but
// not all the text and DER that it makes of them on the way, and neither does Node.
// With glibc; elsewhere it does nothing. Owner: a stack frame. Thread: any, several at once.
class FreedMemoryWiper final {
 public:
  FreedMemoryWiper();
  ~FreedMemoryWiper();
  FreedMemoryWiper(const FreedMemoryWiper&) = delete;
  FreedMemoryWiper& operator=(const FreedMemoryWiper&) = delete;
};

}  // namespace keyless

#endif  // NATIVE_FREED_MEMORY_H_
