//! Integration tests: one binary, real sockets, port 0.
