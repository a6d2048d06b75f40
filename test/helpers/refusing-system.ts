/**
 * A system that has no memory for another job of OpenSSL's, or no thread, whenever a test says so: a library in front of
 * glibc (LD_PRELOAD). Only what a handshake asks for is refused: V8 ends the process by itself when its own malloc fails.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * OpenSSL calls getcontext() and then asks for the job's stack (crypto/async/arch/async_posix.c): the next allocation of
 * that thread is refused.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
static __thread int refuse_next;

static int refused(const char *what) {
  char path[512];
  const char *folder = getenv("REFUSING_SYSTEM");
  if (folder == NULL) return 0;
  snprintf(path, sizeof path, "%s/%s", folder, what);
  return access(path, F_OK) == 0;
}

int getcontext(ucontext_t *context) {
  static int (*original)(ucontext_t *);
  if (original == NULL) original = (int (*)(ucontext_t *))dlsym(RTLD_NEXT, "getcontext");
  refuse_next = refused("memory");
  return original(context);
}

void *malloc(size_t size) {
  if (!refuse_next) return __libc_malloc(size);
  refuse_next = 0;
  errno = ENOMEM;
  return NULL;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *value) {
  static int (*original)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (original == NULL)
    original = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
  return refused("threads") ? EAGAIN : original(thread, attributes, start, value);
}
`;

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

  refuse(what: 'memory' | 'threads'): void {
    writeFileSync(join(this.#folder, what), '');
  }

  allow(what: 'memory' | 'threads'): void {
    rmSync(join(this.#folder, what));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
