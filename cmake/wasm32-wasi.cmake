# Toolchain of the guests: clang for wasm32-wasi, with the flags that all guest code shares.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
set(CMAKE_CXX_COMPILER clang++-22)
set(CMAKE_C_COMPILER clang-22)
set(CMAKE_AR llvm-ar-22 CACHE FILEPATH "")
set(CMAKE_RANLIB llvm-ranlib-22 CACHE FILEPATH "")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/guest-flags.txt flags REGEX "^[^#]")
list(JOIN flags " " flags)
set(CMAKE_CXX_FLAGS_INIT "${flags}")

# A reactor: see guest/sdk/preview1.c++. --no-wasm-opt: the driver would run whatever wasm-opt is on
# the PATH, and Debian's does not know these instructions.
set(linker_flags -Wno-unused-command-line-argument --no-wasm-opt -mexec-model=reactor
  -Wl,--gc-sections -Wl,-z,stack-size=262144 -Wl,--stack-first -Wl,--initial-memory=1048576
  # What guest-flags.txt says of exceptions, to the code generator in the linker.
  -Wl,-mllvm,-wasm-enable-eh -Wl,-mllvm,-wasm-use-legacy-eh=false
  -Wl,-mllvm,-exception-model=wasm)
list(JOIN linker_flags " " CMAKE_EXE_LINKER_FLAGS_INIT)
