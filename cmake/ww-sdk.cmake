# What the project of a guest includes, of the SDK that `ww` finds (`ww sdk-path` prints where). Gives
# ww_guest(), which ww-guest.cmake explains. The toolchain is wasm32-wasi.cmake, beside this file.
get_filename_component(ww_sdk ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)

set(WW_COMPONENTS ${CMAKE_BINARY_DIR}/components)
file(MAKE_DIRECTORY ${WW_COMPONENTS})
set(WW_COMPONENTIZE ${ww_sdk}/bin/ww-componentize)
set(WW_WIT_DIR ${ww_sdk}/wit)
file(GLOB_RECURSE WW_WIT ${WW_WIT_DIR}/*.wit)
set(WW_WASM_OPT "" CACHE FILEPATH "Binaryen's wasm-opt, to make components smaller; none is fine")

# All of the SDK's own library: the entry points that the host calls are named by nobody.
add_library(ww-sdk INTERFACE)
target_include_directories(ww-sdk SYSTEM BEFORE INTERFACE ${ww_sdk}/compat)
target_include_directories(ww-sdk SYSTEM INTERFACE ${ww_sdk}/include)
target_compile_options(ww-sdk INTERFACE
  "SHELL:-include \"${ww_sdk}/compat/kj-wasi.h\"" -Wno-c23-extensions)
target_link_libraries(ww-sdk INTERFACE
  -Wl,--whole-archive ${ww_sdk}/lib/libww-sdk.a -Wl,--no-whole-archive
  ${ww_sdk}/lib/libcapnp-guest.a -lwasi-emulated-signal -lwasi-emulated-mman)

include(${CMAKE_CURRENT_LIST_DIR}/ww-guest.cmake)
