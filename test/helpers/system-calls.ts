/**
 * System calls by their numbers, from inside a Node.js process (Linux): a library that, whenever a signal comes, makes each of them and
 * writes `name errno` on standard output. It calls them with arguments that do no harm where they are allowed.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Number in sys/syscall.h: what it is called with. */
const CALLS: Readonly<Record<string, string>> = {
  socket: 'AF_INET, SOCK_STREAM, 0',
  socketpair: 'AF_UNIX, SOCK_STREAM, 0, pair',
  connect: '-1, 0, 0',
  bind: '-1, 0, 0',
  listen: '-1, 0',
  accept: '-1, 0, 0',
  accept4: '-1, 0, 0, 0',
  sendto: '-1, 0, 0, 0, 0, 0',
  sendmsg: '-1, 0, 0',
  sendmmsg: '-1, 0, 0, 0',
  recvfrom: '-1, 0, 0, 0, 0, 0',
  recvmsg: '-1, 0, 0',
  getpeername: '-1, 0, 0',
  openat: 'AT_FDCWD, "/etc/passwd", O_RDONLY',
  openat2: 'AT_FDCWD, "/etc/passwd", 0, 0',
  open_by_handle_at: '-1, 0, 0',
  name_to_handle_at: 'AT_FDCWD, "", 0, 0, 0',
  memfd_create: '"x", 0',
  dup: '1',
  pipe2: 'pair, 0',
  eventfd2: '0, 0',
  epoll_create1: '0',
  timerfd_create: '0, 0',
  inotify_init1: '0',
  unlinkat: 'AT_FDCWD, "/nowhere/at/all", 0',
  mkdirat: 'AT_FDCWD, "/nowhere/at/all", 0',
  linkat: 'AT_FDCWD, "/nowhere/at/all", AT_FDCWD, "/nowhere", 0',
  symlinkat: '"x", AT_FDCWD, "/nowhere/at/all"',
  renameat2: 'AT_FDCWD, "/nowhere/at/all", AT_FDCWD, "/nowhere", 0',
  fchmodat: 'AT_FDCWD, "/nowhere/at/all", 0',
  truncate: '"/nowhere/at/all", 0',
  statx: 'AT_FDCWD, "/", 0, 0, 0',
  readlinkat: 'AT_FDCWD, "/nowhere/at/all", 0, 0',
  chdir: '"/"',
  chroot: '0',
  execve: '0, 0, 0',
  execveat: '-1, 0, 0, 0, 0',
  clone: 'SIGCHLD, 0, 0, 0, 0',
  clone3: '0, 0',
  unshare: '0',
  setns: '-1, 0',
  mount: '0, 0, 0, 0, 0',
  umount2: '0, 0',
  fsopen: '0, 0',
  kill: 'getppid(), 0',
  tkill: 'getppid(), 0',
  tgkill: 'getppid(), getppid(), 0',
  rt_sigqueueinfo: 'getppid(), 0, 0',
  pidfd_open: 'getppid(), 0',
  pidfd_getfd: '-1, 0, 0',
  pidfd_send_signal: '-1, 0, 0, 0',
  ptrace: 'PTRACE_PEEKDATA, 0, 0, 0',
  process_vm_readv: 'getppid(), 0, 0, 0, 0, 0',
  process_vm_writev: 'getppid(), 0, 0, 0, 0, 0',
  process_madvise: '-1, 0, 0, 0, 0',
  kcmp: 'getppid(), getppid(), 0, 0, 0',
  io_uring_setup: '0, 0',
  io_uring_register: '-1, 0, 0, 0',
  io_setup: '0, 0',
  bpf: '-1, 0, 0',
  perf_event_open: '0, 0, 0, 0, 0',
  userfaultfd: '-1',
  keyctl: '-1, 0, 0, 0, 0',
  add_key: '0, 0, 0, 0, 0',
  shmget: '0, 0, 0',
  msgget: '-1, 0',
  prctl: 'PR_SET_DUMPABLE, 1, 0, 0, 0',
  prlimit64: '0, RLIMIT_NOFILE, &limit, 0',
  setrlimit: 'RLIMIT_NOFILE, &limit',
  setresuid: '-1, -1, -1',
  setgroups: '-1, 0',
  capset: '0, 0',
  fcntl: '1, F_DUPFD, 0',
  ioctl: '1, TIOCSTI, 0',
  seccomp: '-1, 0, 0',
  init_module: '0, 0, 0',
  reboot: '0, 0, 0, 0',
  sethostname: '0, -1',
};

const SOURCE = `
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int pair[2];
static struct rlimit limit;
static int ring = -1;
static struct io_uring_params params;
static char *queue;
static struct io_uring_sqe *entries;

/* A ring that is there before, as libuv's is: what it opens is no system call. */
static void make_ring(void) {
  ring = (int)syscall(SYS_io_uring_setup, 2, &params);
  if (ring < 0) return;
  queue = mmap(0, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  entries = mmap(0, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
}

static int through_ring(struct io_uring_sqe entry) {
  if (ring < 0) return 0;
  unsigned *tail = (unsigned *)(queue + params.sq_off.tail);
  unsigned *completed = (unsigned *)(queue + params.cq_off.head);
  unsigned at = *tail & (params.sq_entries - 1);
  entries[at] = entry;
  ((unsigned *)(queue + params.sq_off.array))[at] = at;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0) return errno;
  struct io_uring_cqe *answers = (struct io_uring_cqe *)(queue + params.cq_off.cqes);
  int result = answers[*completed & (params.cq_entries - 1)].res;
  __atomic_store_n(completed, *completed + 1, __ATOMIC_RELEASE);
  return result < 0 ? -result : 0;
}

static char text[65536];
static size_t used;
static void tell(const char *name, int number) {
  used += (size_t)snprintf(text + used, sizeof text - used, "%s %d\\n", name, number);
}

static void on_signal(int number) {
  (void)number;
  used = 0;
  getrlimit(RLIMIT_NOFILE, &limit);
  long result;
CALLS
  struct io_uring_sqe entry;
  memset(&entry, 0, sizeof entry);
  entry.opcode = 45; /* IORING_OP_SOCKET */
  entry.fd = AF_INET;
  entry.off = SOCK_STREAM;
  tell("ring: socket", through_ring(entry));
  memset(&entry, 0, sizeof entry);
  entry.opcode = IORING_OP_OPENAT;
  entry.fd = AT_FDCWD;
  entry.addr = (unsigned long)"/etc/passwd";
  tell("ring: open", through_ring(entry));
  used += (size_t)snprintf(text + used, sizeof text - used, "end 0\\n");
  for (size_t at = 0; at < used;) {
    ssize_t wrote = write(1, text + at, used - at);
    if (wrote < 0 && errno != EAGAIN) break;
    if (wrote > 0) at += (size_t)wrote;
  }
}

__attribute__((constructor)) static void begin(void) {
  make_ring();
  signal(SIGUSR2, on_signal);
}
`;

function callOf([name, values]: [string, string]): string {
  // A process that is made by it ends.
  const child =
    name === 'clone' ? 'if (result == 0) _exit(0); if (result > 0) waitpid((pid_t)result, 0, 0);' : '';
  return `#ifdef SYS_${name}
  errno = 0;
  result = syscall(SYS_${name}, ${values});
  ${child}
  tell("${name}", result < 0 ? errno : 0);
#endif`;
}

/** @param folder for the library @returns its file, for `process.dlopen`, which throws, and leaves it loaded */
export function systemCallLibrary(folder: string): string {
  const source = join(folder, 'system-calls.c');
  const library = join(folder, 'system-calls.so');
  writeFileSync(
    source,
    SOURCE.replace('CALLS', () => Object.entries(CALLS).map(callOf).join('\n')),
  );
  const flags = ['-x', 'c', '-std=gnu11', '-shared', '-fPIC', '-O1', '-w', '-Wl,-z,nodelete'];
  execFileSync('g++', [...flags, '-o', library, source], { stdio: 'inherit' });
  return library;
}

/** By name of the call: its errno; 0: it was done. */
export type Answers = ReadonlyMap<string, number>;

/** @param printed by the library, once or several times */
export function readAnswers(printed: string): Answers[] {
  return printed
    .split(/^end 0$/m)
    .slice(0, -1)
    .map(
      (round) =>
        new Map([...round.matchAll(/^(.+) (\d+)$/gm)].map(([, name, errno]) => [name!, Number(errno)])),
    );
}
