//! Integration tests: one binary, real sockets, port 0.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as the test itself may"
)]

#[cfg(target_os = "linux")]
mod ack_stalls;
mod admin;
mod agent_cards;
mod agent_errors;
mod agent_sessions;
mod backup;
mod balancing;
mod calibration;
mod capacity;
mod cli;
mod cli_mistakes;
mod cli_table;
mod config;
mod config_keys;
mod config_mistakes;
mod conformance;
mod connection_limits;
mod controller_fixture;
mod corruption;
mod data_guard;
mod demo;
mod dialing;
mod discovery;
mod docs;
mod drill_laws;
mod drills;
mod durability;
mod effects;
mod events;
mod exporters;
mod fallback;
mod feedback;
mod feedback_names;
mod first_check;
mod flags;
mod grpc;
mod h2;
mod h2_abuse;
mod h2_neighbours;
mod h2_stalled;
mod h2_websockets;
mod health;
mod history;
mod history_writer;
mod hooks;
mod http1;
mod idle_connections;
mod in_flight;
mod kpis;
mod limits;
mod mcp_sessions;
mod mirror;
mod ofrep;
mod opentelemetry;
mod overrides;
mod pin_promise;
mod plan;
mod program;
mod readiness;
mod redaction;
mod responses;
mod restarts;
mod retries;
mod rollback;
mod rollback_promise;
mod rollouts;
mod route_flags;
mod sessions;
mod shutdown;
mod start;
mod streaming;
mod streams;
mod support;
mod takeover;
mod tls;
mod trailers;
mod upstream_connections;
mod verdicts;
mod verifications;
