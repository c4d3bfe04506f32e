# ww_guest(NAME source... [WORLD name] [KEEP_NAMES] [STOCK] [EMBED component...]): a program, then
# its component in ${WW_COMPONENTS}/NAME.wasm, without names and debug information unless they are
# kept. A source may #embed the components that EMBED names, as "NAME.wasm". STOCK: also NAME-stock,
# the same on Cap'n Proto's own network, for tests of the tree.
#
# For the tree's own guests (guest/CMakeLists.txt) and for projects that use the SDK (ww-sdk.cmake).
# Either sets, before: the target ww-sdk, and WW_COMPONENTS, WW_COMPONENTIZE, WW_WIT_DIR, WW_WIT (the
# files in it) and WW_WASM_OPT, which may be empty: then nothing is optimized after the linker.
function(ww_guest name)
  cmake_parse_arguments(GUEST "KEEP_NAMES;STOCK" "WORLD;SDK" "EMBED" ${ARGN})
  if(NOT GUEST_WORLD)
    set(GUEST_WORLD guest)
  endif()
  if(NOT GUEST_SDK)
    set(GUEST_SDK ww-sdk)
  endif()
  if(GUEST_STOCK)
    ww_guest(${name}-stock ${GUEST_UNPARSED_ARGUMENTS} WORLD ${GUEST_WORLD} SDK ww-sdk-stock
      EMBED ${GUEST_EMBED})
    set_target_properties(${name}-stock ${name}-stock-component PROPERTIES EXCLUDE_FROM_ALL TRUE)
  endif()
  add_executable(${name} ${GUEST_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME ${name}.core SUFFIX .wasm)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter ${WW_GUEST_WERROR})
  target_link_libraries(${name} PRIVATE ${GUEST_SDK})
  if(GUEST_EMBED)
    target_link_options(${name} PRIVATE -Wl,--initial-memory=4194304)
  endif()
  foreach(embedded ${GUEST_EMBED})
    target_compile_options(${name} PRIVATE --embed-dir=${WW_COMPONENTS})
    add_dependencies(${name} ${embedded}-component)
    set_property(SOURCE ${GUEST_UNPARSED_ARGUMENTS} APPEND PROPERTY
      OBJECT_DEPENDS ${WW_COMPONENTS}/${embedded}.wasm)
  endforeach()
  set(optimized ${CMAKE_CURRENT_BINARY_DIR}/${name}.opt.wasm)
  set(optimize ${WW_WASM_OPT} -Oz $<TARGET_FILE:${name}> -o ${optimized})
  if(GUEST_KEEP_NAMES OR NOT WW_WASM_OPT)  # it would forget the lines
    set(optimize ${CMAKE_COMMAND} -E copy $<TARGET_FILE:${name}> ${optimized})
  endif()
  add_custom_command(OUTPUT ${WW_COMPONENTS}/${name}.wasm
    COMMAND ${optimize}
    COMMAND ${WW_COMPONENTIZE} ${optimized} --wit ${WW_WIT_DIR} --world ${GUEST_WORLD}
      $<$<BOOL:${GUEST_KEEP_NAMES}>:--keep-names>
      -o ${WW_COMPONENTS}/${name}.wasm
    DEPENDS ${name} ${WW_WIT} ${WW_COMPONENTIZE} ${WW_WASM_OPT} VERBATIM COMMAND_EXPAND_LISTS)
  add_custom_target(${name}-component ALL DEPENDS ${WW_COMPONENTS}/${name}.wasm)
endfunction()
