# Records what the extension says about itself, one "name|value" a line.
foreach(name IN ITEMS HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${name} is not set.")
  endif()
  file(APPEND "${CMAKE_BINARY_DIR}/metadata.txt" "${name}|${EXTENSION_${name}}\n")
endforeach()
file(APPEND "${CMAKE_BINARY_DIR}/metadata.txt" "NAME|${PROJECT_NAME}\nVERSION|${PROJECT_VERSION}\n")
