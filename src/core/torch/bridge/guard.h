// Included first by every source: the version pin, and the wall that no C++ exception passes.
#pragma once
#include <torch/headeronly/version.h>

#if TORCH_VERSION_MAJOR != 2 || TORCH_VERSION_MINOR != 11
#error "lathe is pinned to libtorch 2.11: set LIBTORCH to an installation of that version, or remove it and run `make`"
#endif

#include <c10/util/Exception.h>

#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "bridge.h"

namespace lathe {

// No overload takes the arguments.
struct NoMatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A C copy of a string that the other side frees; never null short of exhausted memory.
inline char* c_string(const std::string& s) noexcept { return strndup(s.data(), s.size()); }

// Runs `f`; turns whatever it throws into a class and a message without the C++ trace (which costs milliseconds).
template <class F>
int guard(char** err, F&& f) noexcept {
  int code = LATHE_ERROR;
  try {
    try {
      f();
      return LATHE_OK;
    } catch (const c10::OutOfMemoryError& e) {
      code = LATHE_MEMORY;
      *err = c_string(e.what_without_backtrace());
    } catch (const c10::Error& e) {
      *err = c_string(e.what_without_backtrace());
    } catch (const std::bad_alloc&) {
      code = LATHE_MEMORY;
      *err = c_string("out of memory");
    } catch (const NoMatch& e) {
      code = LATHE_NO_MATCH;
      *err = c_string(e.what());
    } catch (const std::exception& e) {
      *err = c_string(e.what());
    } catch (...) {
      *err = c_string("an unknown C++ exception");
    }
  } catch (...) {
    *err = nullptr;  // what() itself failed: memory is exhausted
  }
  return code;
}

}  // namespace lathe
