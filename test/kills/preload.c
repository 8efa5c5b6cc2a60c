/* Preloaded into a program: notes each call that changes what lies under KILL_FOLDER, and kills the process before the
 * KILL_AT-th one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void before(const char *call, const char *path, const char *other) {
  static int count = 0;
  const char *folder = getenv("KILL_FOLDER"), *at = getenv("KILL_AT"), *log = getenv("KILL_LOG");
  if (!folder || !(strstr(path, folder) || strstr(other, folder))) return;
  const int n = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
  if (at && atoi(at) == n) kill(getpid(), SIGKILL);
  const int file = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (file < 0) return;
  dprintf(file, *other ? "%s(\"%s\", \"%s\")\n" : "%s(\"%s\")\n", call, path, other);
  close(file);
}

static void beforeOpen(const char *call, int file) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  before(call, path, "");
}

#define WITH_PATHS(name, types, names, path, other) \
  int name types { before(#name, path, other); return ((int (*) types)dlsym(RTLD_NEXT, #name)) names; }
#define WITH_FILE(name, types, names) \
  int name types { beforeOpen(#name, file); return ((int (*) types)dlsym(RTLD_NEXT, #name)) names; }

WITH_PATHS(mkdir, (const char *path, mode_t mode), (path, mode), path, "")
WITH_PATHS(mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), path, "")
WITH_PATHS(rename, (const char *from, const char *to), (from, to), from, to)
WITH_PATHS(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), from, to)
WITH_PATHS(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), from, to)
WITH_PATHS(link, (const char *from, const char *to), (from, to), from, to)
WITH_PATHS(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), from, to)
WITH_PATHS(symlink, (const char *from, const char *to), (from, to), from, to)
WITH_PATHS(symlinkat, (const char *from, int at, const char *to), (from, at, to), from, to)
WITH_PATHS(unlink, (const char *path), (path), path, "")
WITH_PATHS(unlinkat, (int at, const char *path, int flags), (at, path, flags), path, "")
WITH_PATHS(rmdir, (const char *path), (path), path, "")
WITH_PATHS(truncate, (const char *path, off_t length), (path, length), path, "")
WITH_FILE(fsync, (int file), (file))
WITH_FILE(fdatasync, (int file), (file))
WITH_FILE(ftruncate, (int file, off_t length), (file, length))
