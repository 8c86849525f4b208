//! The controller on a real history, without a socket.
