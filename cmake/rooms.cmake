# A room is a folder of src/ww: one static library, whose dependencies are the arrows that
# docs/architecture.md draws. tests/tools/arrows_test.py checks the includes against the same picture.

# ww_room(NAME [DEPENDS target...]): all *.c++ beside it, and a test for each *-test.c++.
function(ww_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;TEST_DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c++)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*-test.c++)
  list(REMOVE_ITEM sources ${tests} ${CMAKE_CURRENT_SOURCE_DIR}/main.c++)
  if(sources)
    add_library(ww-${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(ww-${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(ww-${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(ww-${name} ${scope} ${ROOM_DEPENDS})
  foreach(test ${tests})
    get_filename_component(test_name ${test} NAME_WE)
    ww_test(${name}-${test_name} ${test} DEPENDS ww-${name} ${ROOM_TEST_DEPENDS})
  endforeach()
endfunction()

# ww_test(NAME source... [DEPENDS target...]): a KJ test program, run by ctest.
function(ww_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "DEPENDS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)   # ends a hung test; no test's result depends on it
  endif()
  add_executable(${name} ${TEST_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${TEST_DEPENDS} CapnProto::kj-test CapnProto::kj-async)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT})
  if(WW_SANITIZE)  # KJ compares the addresses of what stands on the stack
    set_tests_properties(${name} PROPERTIES ENVIRONMENT
      "ASAN_OPTIONS=detect_stack_use_after_return=0;UBSAN_OPTIONS=print_stacktrace=1")
  endif()
endfunction()

# ww_python_test(NAME SCRIPT TIMEOUT [UNDER program...] [ENV NAME=VALUE...]): one in Python, run by
# ctest; UNDER: what sets up what it takes, and then runs it.
function(ww_python_test name script timeout)
  cmake_parse_arguments(TEST "" "" "UNDER;ENV" ${ARGN})
  add_test(NAME ${name}
    COMMAND ${TEST_UNDER} python3 ${CMAKE_CURRENT_SOURCE_DIR}/${script}_test.py -v)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout}
    ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;${TEST_ENV}")
endfunction()
