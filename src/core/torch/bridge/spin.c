// How long libgomp's threads spin at a barrier before they sleep, decided before libgomp's constructor reads the environment.
//
// Compiled twice. With LATHE_EARLY it is an object that build.rs links into the executables of this package alone: `.preinit_array` is not
// allowed in shared objects, and programs that embed Lathe decide for themselves. Without, it is a part of the bridge: what was decided.

#ifndef LATHE_EARLY

// 0: nothing was decided. -1: the user did. More: the count that libgomp was given.
long lathe_spin = 0;

long lathe_spin_count(void) { return lathe_spin; }

#else

#include <stddef.h>
#include <string.h>

// libgomp's own 300,000 turns are milliseconds, in which a thread that waits keeps a core from one that works. 1,000 are tens of
// microseconds.
#define COUNT 1000
#define TEXT(n) #n
#define SPINCOUNT(n) "GOMP_SPINCOUNT=" TEXT(n)

extern char** environ;
// Not there in a program that never asks.
extern long lathe_spin __attribute__((weak));

static char ours[] = SPINCOUNT(COUNT);
static char** slot = NULL;
static char* theirs = NULL;

static int begins(const char* entry, const char* name) {
  const size_t n = strlen(name);
  return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static char** find(char** all, const char* name) {
  for (; *all != NULL; ++all)
    if (begins(*all, name)) return all;
  return NULL;
}

static void decided(long what) {
  if (&lathe_spin != NULL) lathe_spin = what;
}

// Runs before the constructors of all libraries, glibc's among them: with most versions `setenv` is lost here, since glibc then takes the array
// that the kernel made as its environment. That array cannot grow. So an entry that no constructor of a library reads gives its place to
// ours until `after`.
static void before(int argc, char** argv, char** env) {
  static const char* const harmless[] = {"_", "OLDPWD", "SHLVL", "PWD", "LOGNAME", "MAIL", "PATH"};
  (void)argc;
  (void)argv;
  if (find(env, "GOMP_SPINCOUNT") != NULL || find(env, "OMP_WAIT_POLICY") != NULL) return decided(-1);
  for (size_t i = 0; slot == NULL && i < sizeof harmless / sizeof *harmless; ++i) slot = find(env, harmless[i]);
  if (slot == NULL) return;
  theirs = *slot;
  *slot = ours;
  decided(COUNT);
}

// Runs after the constructors of all libraries, before `main`: the environment is as the user made it, also for programs that are started.
static void __attribute__((constructor)) after(void) {
  if (slot == NULL) return;
  *slot = theirs;
  // A library that has set a variable since has moved the entries to an array of its own.
  for (char** e = environ; e != NULL && *e != NULL; ++e)
    if (*e == ours) *e = theirs;
}

__attribute__((section(".preinit_array"), used)) static void (*const early)(int, char**, char**) = before;

#endif
