/**
 * A system that has no memory for another job of OpenSSL's, or no thread, whenever a test says so: a library in front of
 * glibc (LD_PRELOAD). Only what a handshake asks for is refused: V8 ends the process by itself when its own malloc fails.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * OpenSSL calls getcontext(), asks for the job's stack, and calls makecontext() (crypto/async/arch/async_posix.c). In
 * between, one call of that thread is refused: OpenSSL 3.0's malloc(), or from 3.2 on the mmap() and the mprotect() of
 * native/platform.cc.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
enum refusable { NOTHING, MEMORY, GUARD };
static __thread enum refusable next_refused;

static int refused(const char *what) {
  char path[512];
  const char *folder = getenv("REFUSING_SYSTEM");
  if (folder == NULL) return 0;
  snprintf(path, sizeof path, "%s/%s", folder, what);
  return access(path, F_OK) == 0;
}

static int refused_to_job(enum refusable what) {
  if (next_refused != what) return 0;
  next_refused = NOTHING;
  errno = ENOMEM;
  return 1;
}

int getcontext(ucontext_t *context) {
  static int (*original)(ucontext_t *);
  if (original == NULL) original = (int (*)(ucontext_t *))dlsym(RTLD_NEXT, "getcontext");
  int result = original(context);
  next_refused = refused("memory") ? MEMORY : refused("guard") ? GUARD : NOTHING;
  return result;
}

void makecontext(ucontext_t *context, void (*start)(void), int count, ...) {
  static void (*original)(ucontext_t *, void (*)(void), int, ...);
  if (original == NULL) original = (void (*)(ucontext_t *, void (*)(void), int, ...))dlsym(RTLD_NEXT, "makecontext");
  next_refused = NOTHING;
  if (count != 0) abort();
  original(context, start, 0);
}

void *malloc(size_t size) { return refused_to_job(MEMORY) ? NULL : __libc_malloc(size); }

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  if (refused_to_job(MEMORY)) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, address, size, protection, flags, file, offset);
}

void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

int mprotect(void *address, size_t size, int protection) {
  return refused_to_job(GUARD) ? -1 : (int)syscall(SYS_mprotect, address, size, protection);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *value) {
  static int (*original)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (original == NULL)
    original = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
  return refused("threads") ? EAGAIN : original(thread, attributes, start, value);
}
`;

/** `guard`: protection for the page below a stack. */
export type Refusable = 'memory' | 'guard' | 'threads';

export class RefusingSystem {
  readonly #folder = mkdtempSync(join(tmpdir(), 'keyless-tls-refusing-'));
  /** For the process that is to be refused. */
  readonly env: NodeJS.ProcessEnv;

  constructor() {
    const library = join(this.#folder, 'refusing.so');
    const source = join(this.#folder, 'refusing.c');
    writeFileSync(source, SOURCE);
    execFileSync('g++', ['-x', 'c', '-std=gnu11', '-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], {
      stdio: 'inherit',
    });
    // After what is there: the runtime of a sanitizer must be first.
    const { LD_PRELOAD: before = '' } = process.env;
    this.env = { LD_PRELOAD: `${before} ${library}`.trim(), REFUSING_SYSTEM: this.#folder };
  }

  refuse(what: Refusable): void {
    writeFileSync(join(this.#folder, what), '');
  }

  allow(what: Refusable): void {
    rmSync(join(this.#folder, what));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
