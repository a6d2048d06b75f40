#include "signing_threads.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <time.h>
#ifdef __linux__
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace keyless {

namespace {

constexpr size_t kStackBytes = size_t{256} * 1024;

// Linux has a priority for each thread; elsewhere it would be the process's.
void GiveWay() {
#ifdef __linux__
  pthread_setname_np(pthread_self(), "keyless-sign");
  constexpr int kNicer = 5;
  const auto self = static_cast<id_t>(syscall(SYS_gettid));
  const int now = getpriority(PRIO_PROCESS, self);
  setpriority(PRIO_PROCESS, self, now + kNicer);
#endif
}

double CpuMilliseconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// Those of all environments. Never destroyed: it is used while the process exits.
struct Registry {
  std::mutex mutex;
  std::vector<SigningThreads*> live;
};

Registry& TheRegistry() {
  static auto* const registry = new Registry();
  return *registry;
}

void EndAll() {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  for (SigningThreads* threads : registry.live) threads->End();
}

void Register(SigningThreads* threads) {
  Registry& registry = TheRegistry();
  // OpenSSL has registered its own cleanup before, and so is cleaned up after.
  static const int registered = std::atexit(EndAll);
  static_cast<void>(registered);
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.live.push_back(threads);
}

void Unregister(SigningThreads* threads) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.live.erase(std::remove(registry.live.begin(), registry.live.end(), threads), registry.live.end());
}

}  // namespace

// What RSA has decrypted is a secret.
SigningJob::~SigningJob() {
  for (Task& task : tasks_) OPENSSL_cleanse(task.signature.data(), task.signature.size());
}

bool SigningJob::Add(DigestSigner* signer, const uint8_t* digest, size_t bytes) {
  if (signers_.empty() || !signers_.back().IsOf(signer)) {
    DigestSigner::Borrowed copy = signer->Borrow();
    if (copy.get() == nullptr) return false;
    signers_.push_back(std::move(copy));
  }
  tasks_.push_back({signers_.back().get(), std::vector<uint8_t>(digest, digest + bytes), {}});
  return true;
}

void SigningJob::Run() {
  const double since = CpuMilliseconds();
  for (Task& task : tasks_) {
    task.signature.resize(task.signer->max_bytes());
    task.signature.resize(task.signer->Sign(task.digest.data(), task.digest.size(), task.signature.data()));
  }
  milliseconds_ = CpuMilliseconds() - since;
}

size_t SigningJob::signature_bytes() const {
  size_t bytes = 0;
  for (const Task& task : tasks_) bytes += task.signature.size();
  return bytes;
}

void SigningJob::GiveBack() { signers_.clear(); }

size_t SigningThreads::Start(size_t threads) {
  Register(this);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return 0;
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Signals are for the thread that JavaScript runs on.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  while (threads_.size() < threads && pthread_create(&thread, &attributes, Main, this) == 0) threads_.push_back(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return threads_.size();
}

SigningThreads::~SigningThreads() {
  Unregister(this);
  End();
}

void SigningThreads::End() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  more_.notify_all();
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  threads_.clear();
}

void SigningThreads::Queue(std::unique_ptr<SigningJob> job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queued_.push_back(std::move(job));
  }
  more_.notify_one();
}

std::vector<std::unique_ptr<SigningJob>> SigningThreads::TakeSigned() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(signed_, {});
}

void* SigningThreads::Main(void* self) {
  GiveWay();
  static_cast<SigningThreads*>(self)->Work();
  return nullptr;
}

void SigningThreads::Work() {
  for (std::unique_ptr<SigningJob> job = Next(); job != nullptr; job = Next()) {
    job->Run();
    bool first = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      first = signed_.empty();
      signed_.push_back(std::move(job));
      if (ending_) first = false;
    }
    if (first) wake_(argument_);
  }
}

// nullptr: it ends.
std::unique_ptr<SigningJob> SigningThreads::Next() {
  std::unique_lock<std::mutex> lock(mutex_);
  more_.wait(lock, [this] { return ending_ || !queued_.empty(); });
  if (ending_) return nullptr;
  std::unique_ptr<SigningJob> job = std::move(queued_.front());
  queued_.pop_front();
  return job;
}

}  // namespace keyless
