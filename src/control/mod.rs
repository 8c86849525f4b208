//! The control plane: every change of the live table goes through the [`Controller`], the one writer.
//!
//! A publish queues behind other publishes, is written to the history and is live only then (`publish.rs`: start there).
//! A rollback waits for nothing: it takes the live table's short lock, is live, and is written behind (`rollback.rs`).
//! Both enter their revision in one index under its lock, so that the live table, the records and the undo stack always
//! agree. The effects of a swap run once its receipt is sent (`swap.rs`).
//!
//! The files by subject, each list from the caller down:
//!
//! - changes: `publish`, `import` with `merge`, `rollback` with `rollback_to` and `route_rollback`; under them `batch`,
//!   `proposal`, `leave`, `precondition`, `consent`, `idempotency`
//! - rollbacks and aborts over a time: `spread_loop`, `spread_rollback`, `spread_abort`, `spread_finish`; under them `spread_registry`, `spread`
//! - dry runs: `dry_run`, `rollout_dry_run`; under them `outlook` with `outlook_words`, `unproven`, `seen_lately`, `throughput`
//! - data guards: `data_check` above `data_answers` and `data_guard`; for rollouts `return_check` with `return_question`
//! - after a swap: `swap`, `convergence`, `receipt`
//! - health and room before a swap: `health_gate`, `readiness`, `candidates`, `capacity`
//! - releases that the fleet watches: `reconcile`; under it `watch_set`, `warm_levels`, `draining`, `drain_deadline`,
//!   `statistics_retention`, `upcoming`; beside it `resolve`, `recompile`, `removal`
//! - revisions: `revision_log`, `revision_index`, `retention`, `restore`
//! - a table that several proxies share: `shared_sync` with `shared_news`, and `shared_status`, above `shared_report`,
//!   `shared_in_flight`, `shared_quarantine`, `shared_publish`, `shared_live` and `shared`; `shared_wait` above `shared_progress`
//! - figures of all nodes for what one judges: `shared_figures`; under it `figure_counter`, `figure_board`, `figure_sums`,
//!   `figure_documents`, `figure_marks`
//! - certificates from an authority: `certificates`; under it `certificate_desk`
//! - backups: `backups`, `backup_loop`; under them `backup_registry`, `drill_schedule`
//! - work in flight: `work`, `cuts`
//! - rollouts: `rollouts` with `rollout_begin`, `rollout_loop`, `rollout_orders`, `rollout_return`; under them `rollout_registry`,
//!   `rollout_sessions`, `rollout_evidence`, `rollout_strata`, `rollout_reader`, `rollout_cells`, `rollout_limits`, `rollout_counts`, `rollout_queries`, `rollout_record`,
//!   `rollout_track`, `spread`, `withdrawal`, `rollout_verdict`, `saved_file`; beside them `taken_back` with `quarantine` and
//!   `quarantine_marks`
//! - rehearsals of the judge: `calibration`; under it `calibration_registry`, `calibration_window`, which reads as a rollout
//!   does, and `calibration_record`
//! - hooks of rollouts: `hook_loop` with `hook_queue` and `hook_outbox`; `rollout_gate` with `gate_question`
//! - drills: `drills`, `drill_loop`; under them `drill_mechanism`, `drill_trial`, `drill_load` with `synthetic`,
//!   `drill_schedule`, `drill_registry`, `drill_record`
//! - verifications of rollbacks: `verifications` with `verification_queries`; under them `verification_registry`,
//!   `verification_record` with `verification_shown`, `verification_changes`, `route_trails` with `route_trail`,
//!   `route_shares`, `route_counts`, `saved_file`
//! - key figures: `kpis`; under it `kpi_board`, `kpi_readings` with `kpi_series`, `kpi_figures`, `kpi_comparison`; beside it
//!   `flag_kpis`, `effects` with `kpi_effects`
//! - events: `events`; under it `event_hub`, where every event is published, `event_bodies` and `event_watch`
//! - what users say of answers: `feedback` with `feedback_desk`
//! - queries: `queries`; under it `status`, `status_part`, `route_index`, `drift`, `revisions`

mod backup_loop;
mod backup_metrics;
mod backup_registry;
mod backups;
mod batch;
mod calibration;
mod calibration_record;
mod calibration_registry;
mod calibration_window;
mod candidates;
mod capacity;
mod certificate_desk;
mod certificates;
mod clock;
mod consent;
mod controller;
mod convergence;
mod cuts;
mod data_answers;
mod data_check;
mod data_guard;
mod drain_deadline;
mod draining;
mod drift;
mod drill_error;
mod drill_load;
mod drill_loop;
mod drill_mechanism;
mod drill_metrics;
mod drill_record;
mod drill_registry;
mod drill_schedule;
mod drill_trial;
mod drills;
mod dry_run;
mod effects;
mod ending;
mod error;
mod event_bodies;
mod event_hub;
mod event_watch;
mod events;
mod feedback;
mod feedback_desk;
mod figure_board;
mod figure_counter;
mod figure_documents;
mod figure_marks;
mod figure_sums;
mod flag_kpis;
mod flag_queries;
mod flag_rollback;
mod gate_question;
mod health_gate;
mod hook_loop;
mod hook_outbox;
mod hook_queue;
mod idempotency;
mod import;
mod kpi_board;
mod kpi_comparison;
mod kpi_effects;
mod kpi_figures;
mod kpi_readings;
mod kpi_series;
mod kpis;
mod leadership;
mod leave;
mod merge;
mod metrics;
mod mirrors;
mod named;
mod offer_board;
mod offer_check;
mod offered_rollback;
mod offers;
mod outlook;
mod outlook_words;
mod precondition;
mod proposal;
mod publish;
mod publish_request;
mod quarantine;
mod quarantine_marks;
mod queries;
mod readiness;
mod receipt;
mod recompile;
mod reconcile;
mod removal;
mod resolve;
mod restore;
mod retention;
mod return_check;
mod return_question;
mod revision_index;
mod revision_log;
mod revisions;
mod rollback;
mod rollback_to;
mod rollout_begin;
mod rollout_cells;
mod rollout_counts;
mod rollout_document;
mod rollout_dry_run;
mod rollout_error;
mod rollout_evidence;
mod rollout_gate;
mod rollout_limits;
mod rollout_loop;
mod rollout_orders;
mod rollout_queries;
mod rollout_reader;
mod rollout_record;
mod rollout_registry;
mod rollout_return;
mod rollout_sessions;
mod rollout_step;
mod rollout_strata;
mod rollout_takeover;
mod rollout_track;
mod rollout_verdict;
mod rollouts;
mod route_counts;
mod route_index;
mod route_rollback;
mod route_shares;
mod route_trail;
mod route_trails;
mod saved_file;
mod seen_lately;
mod settings;
mod shared;
mod shared_figures;
mod shared_in_flight;
mod shared_leader;
mod shared_live;
mod shared_news;
mod shared_progress;
mod shared_publish;
mod shared_quarantine;
mod shared_report;
mod shared_rollouts;
mod shared_state;
mod shared_status;
mod shared_sync;
mod shared_wait;
mod shared_work;
mod spread;
mod spread_abort;
mod spread_finish;
mod spread_loop;
mod spread_registry;
mod spread_rollback;
mod statistics_retention;
mod status;
mod status_part;
mod step;
mod succession;
mod swap;
mod synthetic;
mod taken_back;
mod throughput;
mod unproven;
mod upcoming;
mod verification_changes;
mod verification_queries;
mod verification_record;
mod verification_registry;
mod verification_shown;
mod verifications;
mod warm_levels;
mod watch_set;
mod withdrawal;
mod work;

pub use self::{
    backups::TakeBackupError,
    certificate_desk::CertificateSource,
    consent::Consent,
    controller::Controller,
    drill_error::DrillError,
    error::ControlError,
    event_hub::{EventClient, EventHub, EventStart, NextEvents, PublishedEvent},
    feedback_desk::{Answer, AnswerName, FindAnswerError},
    flag_kpis::FlagKpiQuery,
    idempotency::{KeyGuard, ReplayedResponse},
    kpis::KpiQuery,
    precondition::Expected,
    receipt::{EarlyReceipt, LeftReleases},
    rollback_to::RollbackTo,
    rollout_error::RolloutError,
    rollouts::RolloutOptions,
    settings::{Settings, VerificationSettings},
    status_part::StatusPart,
    succession::{FollowedTable, Rehearsal},
    swap::PendingEffects,
    synthetic::{SyntheticRequest, SyntheticTraffic},
    work::WorkOf,
};
