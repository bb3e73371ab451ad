# Macros by the names and with the arguments of Slicer's, which record what they are told instead of building it.
#
# installed.txt: "source|destination" a line, the destination relative to the folder of the scripted modules.
# tests.txt: the script of each test.
option(BUILD_TESTING "Register the tests." ON)
enable_testing()

function(_record_file file destination)
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
    message(FATAL_ERROR "${CMAKE_CURRENT_SOURCE_DIR}/${file} does not exist.")
  endif()
  file(APPEND "${CMAKE_BINARY_DIR}/installed.txt" "${CMAKE_CURRENT_SOURCE_DIR}/${file}|${destination}${file}\n")
endfunction()

# Every file keeps its path below the directory of the CMakeLists.txt; WITH_SUBDIR puts that directory's name before
# it. A script may be named without ".py".
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS OR NOT MODULE_NAME OR NOT MODULE_SCRIPTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule(${ARGN}) is not understood.")
  endif()
  set(destination "")
  if(MODULE_WITH_SUBDIR)
    get_filename_component(destination "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    string(APPEND destination "/")
  endif()
  foreach(script IN LISTS MODULE_SCRIPTS)
    if(NOT script MATCHES "\\.py$")
      string(APPEND script ".py")
    endif()
    _record_file("${script}" "${destination}")
  endforeach()
  foreach(resource IN LISTS MODULE_RESOURCES)
    _record_file("${resource}" "${destination}")
  endforeach()
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(TEST "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  get_filename_component(script "${TEST_SCRIPT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  if(TEST_UNPARSED_ARGUMENTS OR NOT EXISTS "${script}")
    message(FATAL_ERROR "slicer_add_python_unittest(${ARGN}) is not understood.")
  endif()
  get_filename_component(name "${script}" NAME_WE)
  add_test(NAME py_${TEST_TESTNAME_PREFIX}${name} COMMAND ${CMAKE_COMMAND} -E true)
  file(APPEND "${CMAKE_BINARY_DIR}/tests.txt" "${script}\n")
endfunction()
