//! Fields as they are rewritten.
