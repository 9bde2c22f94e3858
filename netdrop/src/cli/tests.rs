//! Help and errors as people see them.
