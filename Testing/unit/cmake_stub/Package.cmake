# Slicer packages the extension here; that the file was reached shows that everything before it passed.
file(WRITE "${CMAKE_BINARY_DIR}/packaged.txt" "${PROJECT_NAME}\n")
