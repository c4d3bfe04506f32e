# The one Rust static library. tools/build-rust.sh builds it with cargo, or takes it from the
# user's cache when its inputs are known there.
file(GLOB_RECURSE rust_inputs CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/rust/*.rs ${CMAKE_SOURCE_DIR}/rust/*.toml ${CMAKE_SOURCE_DIR}/rust/Cargo.lock)
set(WW_RUST_LIB ${CMAKE_BINARY_DIR}/rust/libww_rust.a)
add_custom_command(OUTPUT ${WW_RUST_LIB}
  COMMAND ${CMAKE_SOURCE_DIR}/tools/build-rust.sh lib ${WW_RUST_LIB}
  DEPENDS ${rust_inputs} ${CMAKE_SOURCE_DIR}/tools/build-rust.sh
  USES_TERMINAL VERBATIM)
add_custom_target(ww-rust-build DEPENDS ${WW_RUST_LIB})
add_library(ww-rust INTERFACE)
add_dependencies(ww-rust ww-rust-build)
target_include_directories(ww-rust INTERFACE ${CMAKE_SOURCE_DIR}/rust/include)
# After the archive: what `rustc --print native-static-libs` names on Linux.
target_link_libraries(ww-rust INTERFACE ${WW_RUST_LIB} Threads::Threads ${CMAKE_DL_LIBS} gcc_s util rt m c)
