// Threads that sign digests and do nothing else: those of libuv are four, and shared with files and names. They give way to
// the thread that runs JavaScript, on which everybody waits (setpriority, Linux).
#ifndef NATIVE_SIGNING_THREADS_H_
#define NATIVE_SIGNING_THREADS_H_

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "digest_signer.h"

namespace keyless {

// Digests that are signed one after another by one thread: the way there and back is paid once.
//
// Owner: whoever holds it; one thread at a time. States: filled -> queued -> signed.
class SigningJob {
 public:
  explicit SigningJob(uint32_t id) : id_(id) {}
  ~SigningJob();
  SigningJob(const SigningJob&) = delete;
  SigningJob& operator=(const SigningJob&) = delete;

  // On the JavaScript thread. Returns false where there is no memory.
  bool Add(DigestSigner* signer, const uint8_t* digest, size_t bytes);
  void Run();
  // On the JavaScript thread, when all is signed: the signers keep their copies for the next job.
  void GiveBack();

  uint32_t id() const { return id_; }
  size_t size() const { return tasks_.size(); }
  // Of the thread's CPU, for all of it: how long the machine had other things to do says nothing about the keys.
  double milliseconds() const { return milliseconds_; }
  // Of all signatures.
  size_t signature_bytes() const;
  // Empty: it failed.
  const std::vector<uint8_t>& signature(size_t index) const { return tasks_[index].signature; }

 private:
  struct Task {
    DigestSigner* signer;
    std::vector<uint8_t> digest;
    std::vector<uint8_t> signature;
  };

  const uint32_t id_;
  std::vector<DigestSigner::Borrowed> signers_;  // of the last task too, if it is the same
  std::vector<Task> tasks_;
  double milliseconds_ = 0;
};

// Owner: its environment. Threads: made, filled, emptied and ended on the environment's; its own only run jobs. States:
// live -> ended (what has begun is finished, the rest is dropped).
//
// process.exit() ends no environment, and OpenSSL cleans up after itself at exit(): they have all ended before that.
class SigningThreads {
 public:
  using Wake = void (*)(void* argument);

  // `wake` is called on any thread when there is something to take; nothing of ours is locked then.
  SigningThreads(Wake wake, void* argument) : wake_(wake), argument_(argument) {}
  ~SigningThreads();
  // Waits for what has begun. Repeatable.
  void End();
  SigningThreads(const SigningThreads&) = delete;
  SigningThreads& operator=(const SigningThreads&) = delete;

  // Returns how many there are: fewer where the system gives no more.
  size_t Start(size_t threads);
  void Queue(std::unique_ptr<SigningJob> job);
  std::vector<std::unique_ptr<SigningJob>> TakeSigned();

 private:
  static void* Main(void* self);
  void Work();
  std::unique_ptr<SigningJob> Next();

  const Wake wake_;
  void* const argument_;
  std::vector<pthread_t> threads_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::unique_ptr<SigningJob>> queued_;           // mutex_
  std::vector<std::unique_ptr<SigningJob>> signed_;          // mutex_
  bool ending_ = false;                                      // mutex_
};

}  // namespace keyless

#endif  // NATIVE_SIGNING_THREADS_H_
