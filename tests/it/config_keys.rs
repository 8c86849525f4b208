//! A test for every configuration key: it has a visible effect.
//!
//! The list of keys comes from the types that read them, so a new key without an entry here fails. An entry is a probe,
//! which runs a proxy with two values and compares the results, or the name of the test that does so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use switchback::config::Config;

use crate::discovery::probes as discovery;

mod http1;
mod http2;
mod listener;
pub(crate) mod process;
pub(crate) mod table;
mod time;

/// The proof that a key has an effect.
enum Proof {
    /// A probe, run with two values.
    Here(fn(&str) -> String, [&'static str; 2]),
    /// The name of a test.
    By(&'static str),
}

use Proof::{By, Here};

#[rustfmt::skip]
const KEYS: &[(&str, Proof)] = &[
    ("workers", Here(process::workers, ["1", "3"])),
    ("trusted_proxies", By("a_sender_that_is_not_trusted_makes_no_peer_a_trusted_proxy")),
    ("listeners.address", By("the_access_log_goes_to_a_new_file_after_a_move_and_sighup")),
    ("listeners.preview", Here(listener::preview, ["true", "false"])),
    ("listeners.proxy_protocol", Here(listener::proxy_protocol, ["true", "false"])),
    ("listeners.proxy_protocol_from", Here(listener::proxy_protocol_from, ["['127.0.0.1']", "['10.0.0.0/8']"])),
    ("listeners.max_connections", Here(listener::max_connections, ["1", "10"])),
    ("listeners.tls.certificates.cert", By("a_certificate_is_chosen_by_name_and_both_versions_are_spoken")),
    ("listeners.tls.certificates.key", By("a_certificate_is_chosen_by_name_and_both_versions_are_spoken")),
    ("listeners.tls.client_ca", By("a_client_shows_a_good_certificate_or_is_not_served")),
    ("listeners.tls.client_auth", By("a_client_shows_a_good_certificate_or_is_not_served")),
    ("listeners.tls.min_version", By("a_certificate_is_chosen_by_name_and_both_versions_are_spoken")),
    ("listeners.tls.acme.domains", By("what_is_in_the_folder_is_served_and_what_is_not_is_refused")),
    ("listeners.tls.acme.contact", By("each_wrong_setting_is_named")),
    ("listeners.tls.acme.eab.kid", By("a_new_account_is_bound_by_the_name_and_the_key")),
    ("listeners.tls.acme.eab.key_file", By("a_new_account_is_bound_by_the_name_and_the_key")),
    ("listeners.tls.acme.directory", By("each_directory_has_what_it_gave_and_a_lost_account_is_kept_aside")),
    ("listeners.tls.acme.ca", By("what_is_in_the_folder_is_served_before_anything_is_ordered")),
    ("listeners.tls.acme.path", By("what_is_in_the_folder_is_served_and_what_is_not_is_refused")),
    ("listeners.tls.acme.challenge", By("a_challenge_that_nobody_could_answer_is_a_problem")),
    ("listeners.tls.acme.profile", By("each_wrong_setting_is_named")),
    ("admin.address", Here(process::admin, ["127.0.0.1:0", "127.0.0.2:0"])),
    ("admin.tokens.name", By("a_token_decides_what_may_be_done_and_who_did_it")),
    ("admin.tokens.role", By("a_token_decides_what_may_be_done_and_who_did_it")),
    ("admin.tokens.file", By("a_token_comes_from_a_file_or_the_environment")),
    ("admin.tokens.env", By("a_token_comes_from_a_file_or_the_environment")),
    ("admin.tls.certificates.cert", By("the_admin_api_speaks_tls_with_the_command_line_with_curl_and_after_new_certificates")),
    ("admin.tls.certificates.key", By("the_admin_api_speaks_tls_with_the_command_line_with_curl_and_after_new_certificates")),
    ("admin.tls.acme.domains", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.contact", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.eab.kid", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.eab.key_file", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.directory", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.ca", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.path", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.challenge", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.acme.profile", By("no_authority_reaches_the_admin_api")),
    ("admin.tls.client_ca", By("the_admin_api_asks_for_the_certificate_and_the_version_that_are_configured")),
    ("admin.tls.client_auth", By("the_admin_api_asks_for_the_certificate_and_the_version_that_are_configured")),
    ("admin.tls.min_version", By("the_admin_api_asks_for_the_certificate_and_the_version_that_are_configured")),
    ("admin.hosts", By("no_web_page_gets_in")),
    ("admin.max_body", Here(process::long_change, ["1KiB", "64KiB"])),
    ("admin.max_table", By("a_body_has_a_limit_and_a_whole_table_a_larger_one")),
    ("observe.address", Here(process::observed, ["127.0.0.1:0", "127.0.0.2:0"])),
    ("observe.dashboard", By("the_dashboard_of_the_observe_listener_only_reads")),
    ("feedback.address", By("an_opinion_is_counted_once_at_the_release_that_gave_the_answer")),
    ("feedback.accept", By("the_listener_takes_stamps_alone_unless_the_file_says_more")),
    ("feedback.labels", By("an_opinion_is_counted_once_at_the_release_that_gave_the_answer")),
    ("feedback.per_client", By("a_flood_of_feedback_is_refused_and_others_are_not")),
    ("feedback.rate", By("the_rate_of_all_clients_is_limited")),
    ("feedback.valid_for", By("a_stamp_expires")),
    ("ofrep.address", By("one_flag_is_evaluated_with_all_that_providers_ask_for")),
    ("ofrep.tokens.file", By("an_application_reads_flags_with_its_token_and_nothing_else")),
    ("ofrep.tokens.env", By("a_flag_token_comes_from_a_file_or_the_environment_and_a_weak_one_is_named")),
    ("ofrep.origins", By("a_page_of_an_allowed_origin_reads_flags_and_their_tag")),
    ("ofrep.rate", By("one_evaluation_too_many_is_429_and_a_bulk_one_never")),
    ("history.path", By("a_history_that_is_in_use_ends_the_second_process_with_74")),
    ("history.keep", Here(table::kept_revisions, ["10", "1000"])),
    ("history.durable_within", Here(table::durable_within, ["50ms", "1h"])),
    ("rollback.warm_revisions", Here(table::warm, ["2", "0"])),
    ("rollback.warm_for", Here(table::warm, ["1h", "0s"])),
    ("hooks.url", By("a_rollout_tells_its_hooks_what_happens_in_their_formats")),
    ("hooks.command", By("a_command_decides_and_its_output_is_in_the_log")),
    ("hooks.format", By("a_rollout_tells_its_hooks_what_happens_in_their_formats")),
    ("hooks.events", By("a_rollout_tells_its_hooks_what_happens_in_their_formats")),
    ("hooks.routes", By("a_rollout_tells_its_hooks_what_happens_in_their_formats")),
    ("hooks.secrets.file", By("the_example_of_the_documentation_verifies_a_signature")),
    ("hooks.secrets.env", By("a_secret_that_is_missing_or_weak_is_found_by_a_check")),
    ("hooks.ca", By("a_hook_over_tls_is_verified")),
    ("hooks.timeout", By("a_gate_that_hangs_pauses_and_never_promotes_and_holds_no_way_back")),
    ("hooks.retries", By("a_gate_that_hangs_pauses_and_never_promotes_and_holds_no_way_back")),
    ("hooks.interval", By("a_gate_that_says_wait_is_asked_again")),
    ("hooks.watch", By("a_gate_that_watches_takes_the_release_back_in_the_middle_of_a_step")),
    ("hooks.give_up_after", By("a_message_that_is_never_taken_is_given_up_and_the_log_says_so")),
    ("fleet.etcd", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.prefix", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.node", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.lease", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.ca", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.cert", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.key", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.user", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.password_file", By("each_wrong_setting_of_a_fleet_is_named")),
    ("fleet.peers.urls", By("each_wrong_setting_of_the_other_nodes_is_named")),
    ("fleet.peers.token_file", By("each_wrong_setting_of_the_other_nodes_is_named")),
    ("fleet.peers.ca", By("each_wrong_setting_of_the_other_nodes_is_named")),
    ("fleet.peers.cert", By("each_wrong_setting_of_the_other_nodes_is_named")),
    ("fleet.peers.key", By("each_wrong_setting_of_the_other_nodes_is_named")),
    ("backup.path", By("backups_are_made_by_themselves_and_the_oldest_leave")),
    ("backup.every", By("backups_are_made_by_themselves_and_the_oldest_leave")),
    ("backup.keep", By("backups_are_made_by_themselves_and_the_oldest_leave")),
    ("backup.after", By("a_command_gets_the_file_and_its_failure_is_told")),
    ("verification.enabled", By("rollbacks_are_not_verified_where_that_is_switched_off")),
    ("verification.requests", By("after_so_many_requests_a_verification_ends_without_a_verdict")),
    ("verification.within", By("without_requests_there_is_not_enough_data")),
    ("prometheus.ca", By("a_prometheus_that_cannot_be_asked_is_found_by_a_check")),
    ("prometheus.interval", By("a_release_whose_values_are_worse_is_taken_back")),
    ("prometheus.timeout", By("a_release_whose_values_are_worse_is_taken_back")),
    ("prometheus.token.env", By("a_prometheus_that_cannot_be_asked_is_found_by_a_check")),
    ("prometheus.token.file", By("a_release_whose_values_are_worse_is_taken_back")),
    ("prometheus.url", By("a_release_whose_values_are_worse_is_taken_back")),
    ("plans.bake", By("a_good_release_gets_everything_and_one_rollback_undoes_the_whole_rollout")),
    ("plans.gate", By("a_gate_of_the_plan_is_asked_before_the_first_weight_and_before_the_last")),
    ("plans.drill_max_age", By("a_plan_may_ask_for_a_drill_that_has_passed_lately")),
    ("drills.every", By("drills_begin_by_themselves_and_once_for_all_routes")),
    ("drills.level", By("drills_by_themselves_keep_to_their_routes_and_their_level")),
    ("drills.routes", By("drills_by_themselves_keep_to_their_routes_and_their_level")),
    ("drills.share", By("a_live_drill_has_the_share_and_the_time_of_the_configuration")),
    ("drills.for", By("a_live_drill_has_the_share_and_the_time_of_the_configuration")),
    ("calibrate.routes", By("two_halves_of_one_release_are_not_told_apart_and_the_record_says_so")),
    ("calibrate.plan", By("two_halves_of_one_release_are_not_told_apart_and_the_record_says_so")),
    ("calibrate.window", By("two_halves_of_one_release_are_not_told_apart_and_the_record_says_so")),
    ("calibrate.keep", By("what_is_old_or_too_much_is_forgotten")),
    ("plans.metrics.name", By("a_release_whose_values_are_worse_is_taken_back")),
    ("plans.metrics.query", By("a_release_whose_values_are_worse_is_taken_back")),
    ("plans.metrics.tolerance", By("values_are_compared_in_their_direction_and_within_the_tolerance")),
    ("plans.metrics.worse", By("a_release_whose_values_are_worse_is_taken_back")),
    ("plans.client_errors", By("a_release_that_refuses_requests_is_taken_back_if_the_plan_asks_for_client_errors")),
    ("plans.first_byte", By("a_release_whose_first_event_is_late_is_taken_back")),
    ("plans.slow", By("what_is_slow_can_be_said_in_the_plan")),
    ("plans.slow_at_least", By("nothing_is_slow_below_the_floor")),
    ("plans.hold_back", By("the_default_plan_is_valid_and_holds_five_percent_back")),
    ("plans.steps.approval", By("commands_pause_skip_approve_and_take_back")),
    ("plans.steps.gate", By("a_gate_that_says_wait_is_asked_again")),
    ("plans.steps.hold", By("a_good_release_gets_everything_and_one_rollback_undoes_the_whole_rollout")),
    ("plans.steps.until", By("a_good_release_goes_from_step_to_step_and_holds_five_percent_back_until_the_end")),
    ("plans.steps.weight", By("a_good_release_gets_everything_and_one_rollback_undoes_the_whole_rollout")),
    ("plans.steps.within", By("an_approval_is_waited_for_and_a_late_verdict_is_inconclusive")),
    ("sessions.keys.file", By("two_proxies_with_one_key_agree_on_their_pins")),
    ("sessions.keys.env", By("two_proxies_with_one_key_agree_on_their_pins")),
    ("sessions.learned_ids", By("the_table_of_ids_has_a_size_and_a_time")),
    ("sessions.learned_for", By("the_table_of_ids_has_a_size_and_a_time")),
    ("sessions.max_age", By("a_pin_that_is_too_old_is_not_followed_and_its_id_is_opened")),
    ("headers.underscores", Here(http1::underscore, ["pass", "refuse"])),
    ("headers.via", Here(http1::via, ["one", "two"])),
    ("headers.send_via", Here(http1::via_is_sent, ["true", "false"])),
    ("headers.traceparent", Here(http1::trace, ["create", "pass"])),
    ("limits.head", Here(http1::long_head, ["1KiB", "64KiB"])),
    ("limits.head_fields", Here(http1::many_fields, ["16", "100"])),
    ("limits.target", Here(http1::long_target, ["8000B", "16KiB"])),
    ("limits.method", Here(http1::long_method, ["16B", "32B"])),
    ("limits.response_head", Here(http1::long_answer_head, ["1KiB", "64KiB"])),
    ("limits.response_head_fields", By("an_answer_has_a_limit_of_its_own_on_fields")),
    ("limits.trailers", Here(http1::long_trailer, ["64B", "16KiB"])),
    ("limits.chunk_extensions", Here(http1::long_extension, ["64B", "16KiB"])),
    ("limits.interim_responses", Here(http1::interim, ["1", "100"])),
    ("limits.buffer", By("a_body_is_read_into_buffers_of_the_size_that_is_allowed")),
    ("limits.connections", Here(http1::two_connections, ["1", "10"])),
    ("limits.upstream_connections", By("a_release_that_eats_connections_leaves_some_to_the_others")),
    ("limits.requests", By("too_many_requests_in_all_are_refused")),
    ("limits.idle_per_endpoint", By("idle_connections_are_as_few_as_the_limit_says")),
    ("limits.retries", Here(http1::dead_endpoint, ["0", "2"])),
    ("limits.retry_body", By("a_body_longer_than_is_kept_is_sent_once")),
    ("limits.http2.streams", Here(http2::streams, ["5", "100"])),
    ("limits.http2.stream_window", Here(http2::stream_window, ["16KiB", "128KiB"])),
    ("limits.http2.connection_window", Here(http2::connection_window, ["128KiB", "2MiB"])),
    ("limits.http2.frame", Here(http2::long_frame, ["16KiB", "64KiB"])),
    ("limits.http2.header_list", Here(http2::long_list, ["1KiB", "64KiB"])),
    ("limits.http2.header_table", Here(http2::large_table, ["4KiB", "64KiB"])),
    ("limits.http2.send_buffer", Here(http2::send_buffer, ["4KiB", "64KiB"])),
    ("limits.http2.pending_resets", Here(http2::pending_resets, ["0", "20"])),
    ("limits.http2.local_resets", Here(http2::local_resets, ["2", "100"])),
    ("limits.http2.abuse_goaway", Here(http2::abuse_goaway, ["10", "750"])),
    ("limits.http2.abuse_close", Here(http2::abuse_close, ["20", "1000"])),
    ("limits.http2.abuse_window", Here(http2::abuse_window, ["20ms", "1h"])),
    ("timeouts.tls_handshake", Here(process::handshake, ["50ms", "1h"])),
    ("timeouts.head", By("a_slow_head_is_408_and_a_silent_connection_is_closed")),
    ("timeouts.body", By("a_body_without_progress_is_408")),
    ("timeouts.keep_alive", By("a_slow_head_is_408_and_a_silent_connection_is_closed")),
    ("timeouts.http2_idle", By("a_connection_without_streams_gets_a_goaway_and_one_with_a_stream_does_not")),
    ("timeouts.http2_ping", By("a_quiet_client_is_asked_whether_it_is_there_and_let_go_if_it_does_not_say_so")),
    ("timeouts.http2_ping_answer", Here(http2::ping_answer, ["50ms", "1h"])),
    ("timeouts.connection_age", By("an_old_connection_is_asked_to_go_with_its_next_answer")),
    ("timeouts.connect", Here(time::unconnected_in_all, ["50ms", "1h"])),
    ("timeouts.silence", By("a_silent_endpoint_is_504_before_the_head_and_a_cut_after_it")),
    ("timeouts.websocket_idle", By("a_websocket_that_we_end_ends_with_a_close_frame_to_both_sides")),
    ("timeouts.request", By("a_request_as_a_whole_can_be_limited")),
    ("timeouts.endpoint_idle", Here(time::idle_connection, ["50ms", "1h"])),
    ("timeouts.endpoint_ping", By("an_endpoint_is_not_pinged_unless_asked_for_nor_without_a_stream")),
    ("timeouts.drain", Here(process::drain, ["50ms", "1h"])),
    ("timeouts.converge", Here(table::converge, ["20ms", "1h"])),
    ("discovery.min_ttl", Here(discovery::min_ttl, ["50ms", "1h"])),
    ("discovery.max_ttl", Here(discovery::max_ttl, ["50ms", "1h"])),
    ("discovery.timeout", Here(discovery::slow_answer, ["50ms", "1h"])),
    ("discovery.kubernetes.url", By("endpoints_follow_the_slices_and_those_that_end_get_no_new_request")),
    ("discovery.kubernetes.token_file", By("a_token_that_is_replaced_is_read_again")),
    ("discovery.kubernetes.ca", By("the_api_server_is_verified")),
    ("discovery.kubernetes.cluster_domain", By("a_name_of_another_domain_stays_with_dns")),
    ("health_checks.concurrency", Here(table::checks_at_a_time, ["1", "64"])),
    ("access_log.format", Here(process::access_format, ["json", "text"])),
    ("access_log.sample", By("a_part_of_the_successful_requests_is_written")),
    ("access_log.path", By("the_access_log_goes_to_a_new_file_after_a_move_and_sighup")),
    ("access_log.queue", Here(process::queue, ["1", "8192"])),
    ("datadog.address", By("datadog_gets_metrics_events_and_readiness_with_the_unified_tags")),
    ("datadog.socket", By("a_hanging_agent_costs_values_that_are_counted_and_nothing_else")),
    ("datadog.service", By("datadog_gets_metrics_events_and_readiness_with_the_unified_tags")),
    ("datadog.env", By("datadog_gets_metrics_events_and_readiness_with_the_unified_tags")),
    ("datadog.version", By("datadog_gets_metrics_events_and_readiness_with_the_unified_tags")),
    ("datadog.tags", By("datadog_gets_metrics_events_and_readiness_with_the_unified_tags")),
    ("datadog.interval", By("datadog_gets_metrics_events_and_readiness_with_the_unified_tags")),
    ("cloudwatch.to", By("cloudwatch_gets_events_of_each_release_with_its_dimensions")),
    ("cloudwatch.namespace", By("cloudwatch_gets_events_of_each_release_with_its_dimensions")),
    ("cloudwatch.service", By("cloudwatch_gets_events_of_each_release_with_its_dimensions")),
    ("cloudwatch.interval", By("cloudwatch_gets_events_of_each_release_with_its_dimensions")),
    ("opentelemetry.endpoint", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.events", By("a_notice_is_a_record_with_a_name_and_its_labels")),
    ("opentelemetry.headers.env", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.headers.file", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.ca", By("every_header_and_certificate_that_cannot_be_used_is_a_problem")),
    ("opentelemetry.service", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.version", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.instance", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.env", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.attributes", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.temporality", By("totals_stay_and_increases_come_once")),
    ("opentelemetry.interval", By("a_collector_gets_all_metrics_with_its_headers_and_the_attributes")),
    ("opentelemetry.timeout", By("a_collector_that_hangs_costs_neither_requests_nor_changes_nor_the_end")),
    ("opentelemetry.traces.sample", By("a_request_without_a_trace_begins_one_in_its_share")),
    ("opentelemetry.traces.failures", By("a_failure_is_kept_though_it_is_not_sampled")),
    ("log.level", Here(process::log_level, ["info", "trace"])),
    ("log.format", Here(process::log_format, ["text", "json"])),
    ("shutdown.not_ready_for", By("a_terminated_process_is_not_ready_first_and_serves_on")),
    ("shutdown.in_flight.unary", By("each_class_has_a_limit_of_its_own_at_the_end")),
    ("shutdown.in_flight.stream", By("each_class_has_a_limit_of_its_own_at_the_end")),
    ("shutdown.in_flight.websocket", By("websockets_are_closed_with_1012_before_the_grace_is_over")),
    ("shutdown.in_flight.grpc_stream", By("a_class_ends_by_its_policy_and_all_of_it_before_the_grace_is_over")),
    ("shutdown.grace", Here(process::grace, ["50ms", "1h"])),
    ("releases.version", By("a_version_that_comes_back_brings_its_last_roster")),
    ("releases.endpoints.url", By("a_release_is_registered_scaled_and_removed")),
    ("releases.endpoints.weight", By("endpoints_get_requests_by_their_weights_and_none_at_0")),
    ("releases.protocol", By("an_endpoint_that_speaks_only_http2_is_asked_over_http2")),
    ("releases.health.path", By("a_check_sends_and_compares_what_is_configured")),
    ("releases.health.grpc", By("the_health_service_of_grpc_is_asked_for_one_service_or_the_whole")),
    ("releases.health.method", By("a_check_sends_and_compares_what_is_configured")),
    ("releases.health.host", By("a_check_sends_and_compares_what_is_configured")),
    ("releases.health.port", By("a_check_uses_the_port_that_is_configured")),
    ("releases.health.status", By("a_check_sends_and_compares_what_is_configured")),
    ("releases.health.body", By("a_check_sends_and_compares_what_is_configured")),
    ("releases.health.interval", Here(table::check_interval, ["10ms", "1h"])),
    ("releases.health.timeout", Here(table::check_timeout, ["50ms", "1h"])),
    ("releases.health.rise", Here(table::rises, ["1", "100000"])),
    ("releases.health.fall", Here(table::falls, ["1", "100000"])),
    ("releases.tls.ca", By("a_certificate_is_checked_as_the_release_says")),
    ("releases.tls.cert", By("an_endpoint_is_who_it_should_be_or_the_details_are_in_the_log_alone")),
    ("releases.tls.key", By("an_endpoint_is_who_it_should_be_or_the_details_are_in_the_log_alone")),
    ("releases.tls.server_name", By("a_certificate_is_checked_as_the_release_says")),
    ("releases.limits.connections_per_endpoint", By("requests_that_wait_for_a_connection_get_it_in_order")),
    ("releases.limits.in_flight_per_endpoint", By("full_endpoints_are_not_picked_and_requests_wait_for_one_with_room")),
    ("releases.balance", By("each_policy_has_an_effect")),
    ("releases.slow_start", By("a_recovered_endpoint_starts_slowly")),
    ("releases.max_retry_after", By("an_endpoint_that_asks_for_a_pause_is_avoided_for_that_time")),
    ("releases.ejection.consecutive_failures", By("an_endpoint_that_fails_is_ejected_and_comes_back_after_a_probe")),
    ("releases.ejection.consecutive_gateway_failures", By("gateway_failures_have_a_limit_of_their_own")),
    ("releases.ejection.interval", By("ejections_grow_by_the_base_time_up_to_the_maximum_and_are_forgotten")),
    ("releases.ejection.base_time", By("ejections_grow_by_the_base_time_up_to_the_maximum_and_are_forgotten")),
    ("releases.ejection.max_time", By("ejections_grow_by_the_base_time_up_to_the_maximum_and_are_forgotten")),
    ("releases.ejection.max_percent", By("half_of_the_endpoints_are_ejected_at_most_and_never_the_last")),
    ("releases.rollback.allowed", By("what_its_operator_declares_unsafe_is_not_left_without_force")),
    ("releases.rollback.reason", By("what_its_operator_declares_unsafe_is_not_left_without_force")),
    ("releases.rollback.check", By("a_check_decides_about_the_way_back")),
    ("releases.limits.concurrency", By("a_release_takes_so_many_requests_queues_some_and_refuses_the_rest")),
    ("releases.limits.queue", By("a_release_takes_so_many_requests_queues_some_and_refuses_the_rest")),
    ("releases.limits.queue_timeout", Here(time::queued, ["50ms", "1h"])),
    ("routes.name", By("a_route_is_added_changed_and_removed")),
    ("routes.host", Here(table::host, ["a.test", "b.test"])),
    ("routes.hosts", Here(table::host, ["['a.test', 'b.test']", "['b.test']"])),
    ("routes.path", Here(table::host, ["/", "/b"])),
    ("routes.path_prefix", Here(table::host, ["/", "/b"])),
    ("routes.headers", Here(table::host, ["{ x = '1' }", "{ x = '2' }"])),
    ("routes.split", By("shares_are_within_statistical_bounds")),
    ("routes.stable", Here(table::stable, ["blue", "green"])),
    ("routes.affinity", By("an_empty_affinity_value_is_none_and_the_next_source_is_asked")),
    ("sessions.mcp_starts", By("a_session_whose_start_was_forgotten_cannot_be_moved")),
    ("routes.pins", By("sessions_of_an_id_that_the_server_mints_stay_whole")),
    ("routes.pin_lost", By("a_session_whose_endpoint_is_gone_goes_where_the_route_says")),
    ("routes.fallback", By("a_dead_canary_is_seen_and_users_do_not_feel_it")),
    ("routes.in_flight.switch.unary", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.switch.stream", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.switch.websocket", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.switch.grpc_stream", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.in_flight.switch.session", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.in_flight.split.unary", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.split.stream", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.split.websocket", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.split.grpc_stream", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.in_flight.split.session", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.in_flight.rollback.unary", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.rollback.stream", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.rollback.websocket", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.rollback.grpc_stream", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.in_flight.rollback.session", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.in_flight.remove.unary", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.remove.stream", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.remove.websocket", By("every_class_ends_as_its_policy_says_over_http1")),
    ("routes.in_flight.remove.grpc_stream", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.in_flight.remove.session", By("the_policies_of_the_route_say_what_is_cut_and_which_session_moves")),
    ("routes.retries.attempts", By("the_last_response_with_such_a_status_is_passed_on")),
    ("routes.retries.endpoints", Here(table::other_endpoints, ["0", "1"])),
    ("routes.retries.idempotency_key", By("a_key_makes_a_post_idempotent_where_the_route_says_so")),
    ("routes.retries.on_status", By("a_status_that_the_route_names_is_retried_for_idempotent_requests_alone")),
    ("routes.timeouts.connect", Here(time::unconnected, ["50ms", "1h"])),
    ("routes.timeouts.silence", Here(time::unanswered, ["50ms", "1h"])),
    ("routes.timeouts.websocket_idle", Here(time::quiet_websocket, ["50ms", "1h"])),
    ("routes.timeouts.first_byte", By("a_response_that_does_not_begin_in_time_is_504_and_its_request_is_not_repeated")),
    ("routes.timeouts.try", By("an_attempt_that_brings_no_response_in_time_is_repeated_if_it_may_be")),
    ("routes.timeouts.request", Here(time::unanswered, ["50ms", "1h"])),
    ("routes.methods", By("a_route_is_found_by_its_method_and_by_parameters_of_the_query")),
    ("routes.query", By("a_route_is_found_by_its_method_and_by_parameters_of_the_query")),
    ("routes.request_headers.set", By("fields_are_set_added_and_removed_and_a_rollback_takes_them_back")),
    ("routes.request_headers.add", By("fields_are_set_added_and_removed_and_a_rollback_takes_them_back")),
    ("routes.request_headers.remove", By("fields_are_set_added_and_removed_and_a_rollback_takes_them_back")),
    ("routes.response_headers.set", By("fields_are_set_added_and_removed_and_a_rollback_takes_them_back")),
    ("routes.response_headers.add", By("fields_are_set_added_and_removed_and_a_rollback_takes_them_back")),
    ("routes.response_headers.remove", By("fields_are_set_added_and_removed_and_a_rollback_takes_them_back")),
    ("routes.redirect.scheme", By("a_redirect_leads_on_and_a_request_that_is_there_is_served")),
    ("routes.redirect.host", By("a_redirect_replaces_what_it_names_and_keeps_the_rest")),
    ("routes.redirect.port", By("a_redirect_replaces_what_it_names_and_keeps_the_rest")),
    ("routes.redirect.path", By("a_redirect_replaces_what_it_names_and_keeps_the_rest")),
    ("routes.redirect.prefix", By("a_prefix_takes_the_place_of_that_of_the_route")),
    ("routes.redirect.status", By("every_part_of_a_redirect_is_sent_over_both_protocols")),
    ("routes.respond.status", By("a_fixed_response_is_sent_as_it_was_written_over_both_protocols")),
    ("routes.respond.body", By("a_fixed_response_is_sent_as_it_was_written_over_both_protocols")),
    ("routes.respond.content_type", By("a_fixed_response_is_sent_as_it_was_written_over_both_protocols")),
    ("routes.respond.retry_after", By("a_fixed_response_is_sent_as_it_was_written_over_both_protocols")),
    ("routes.maintenance.on", By("a_maintenance_is_switched_on_and_taken_back")),
    ("routes.maintenance.retry_after", By("a_maintenance_has_the_form_that_each_client_reads")),
    ("routes.maintenance.body", By("a_maintenance_has_the_form_that_each_client_reads")),
    ("routes.maintenance.content_type", By("a_maintenance_has_the_form_that_each_client_reads")),
    ("routes.strip_prefix", By("prefixes_are_taken_off_and_games_with_paths_are_refused")),
    ("routes.agent_protocol", By("an_mcp_client_gets_a_json_rpc_error")),
    ("routes.agent_card", By("a_card_passes_as_it_is_where_the_route_says_so")),
    ("routes.public_url", By("a_card_names_the_public_url_of_its_route_and_the_prefix_that_is_removed")),
    ("routes.host_header", Here(table::host_header, ["preserve", "endpoint"])),
    ("routes.expose_release", By("an_endpoint_cannot_say_which_release_it_is")),
    ("routes.feedback_by", By("an_opinion_names_its_answer_by_the_request_or_as_the_last_of_a_session")),
    ("routes.expose_decision", Here(table::decision, ["true", "false"])),
    ("routes.flags", By("an_endpoint_gets_the_flags_of_its_release_until_they_are_off_and_after_the_way_back")),
    ("routes.flag_baggage", By("nobody_forges_a_flag")),
    ("routes.overrides", By("a_name_is_enough_where_the_route_says_so")),
    ("routes.drill.path", By("a_smoke_drill_sends_marked_requests_to_the_predecessor_and_they_count_for_nothing")),
    ("routes.drill.method", By("a_smoke_drill_sends_marked_requests_to_the_predecessor_and_they_count_for_nothing")),
    ("routes.drill.body", By("a_smoke_drill_sends_marked_requests_to_the_predecessor_and_they_count_for_nothing")),
    ("routes.drill.headers", By("a_synthetic_request_is_matched_by_its_route_and_marked")),
    ("routes.drill.status", By("a_synthetic_request_has_a_status_and_a_time_of_its_own")),
    ("routes.drill.timeout", By("a_synthetic_request_has_a_status_and_a_time_of_its_own")),
    ("flags.type", By("all_problems_of_flags_are_told_at_once_with_a_place_and_a_hint")),
    ("flags.variants", By("numbers_of_a_flag_have_a_point_if_one_of_them_has")),
    ("flags.default", By("the_first_rule_that_matches_decides_and_the_reason_says_why")),
    ("flags.state", By("the_first_rule_that_matches_decides_and_the_reason_says_why")),
    ("flags.rules.split", By("the_first_rule_that_matches_decides_and_the_reason_says_why")),
    ("flags.prerequisite.flag", By("a_prerequisite_that_gives_another_variant_leaves_the_default")),
    ("flags.prerequisite.variant", By("a_prerequisite_that_gives_another_variant_leaves_the_default")),
    ("flags.kpis", By("the_figures_of_each_variant_are_those_of_its_requests")),
    ("flags.description", By("all_problems_of_flags_are_told_at_once_with_a_place_and_a_hint")),
    ("flags.owner", By("all_problems_of_flags_are_told_at_once_with_a_place_and_a_hint")),
    ("flags.expires", By("a_flag_is_stale_after_its_last_day")),
    ("flags.rules.when.attribute", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.equals", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.in", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.starts_with", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.ends_with", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.present", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.number.at_least", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.number.above", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.number.at_most", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.number.below", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.semver.at_least", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.semver.above", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.semver.at_most", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("flags.rules.when.semver.below", By("each_comparison_tells_what_fulfils_it_from_what_does_not")),
    ("routes.mirror.release", By("a_copy_is_the_request_with_the_mark_and_without_credentials")),
    ("routes.mirror.percent", By("who_is_mirrored_depends_on_the_session_and_stays_so_while_the_share_grows")),
    ("routes.mirror.sandbox", By("only_safe_methods_are_copied_unless_the_release_is_a_sandbox")),
    ("routes.mirror.credentials", By("credentials_are_copied_where_the_route_says_so")),
    ("routes.mirror.max_body", By("a_body_over_the_limit_is_not_copied_whether_its_length_is_known_or_not")),
    ("routes.mirror.max_answer", By("an_answer_to_a_copy_is_read_up_to_the_limit")),
    ("routes.mirror.timeout", By("nothing_that_the_mirror_does_reaches_an_original")),
    ("routes.mirror.concurrency", By("a_full_queue_copies_no_more_and_every_request_is_in_one_count")),
    ("routes.mirror.compare_json.ignore", By("answers_that_hold_the_same_are_the_same_and_others_differ_at_a_path")),
    ("routes.mirror.compare_json.max_body", By("answers_that_are_not_compared_are_counted_with_the_reason")),
    ("routes.mirror.queue", By("a_full_queue_copies_no_more_and_every_request_is_in_one_count")),
    ("routes.rate_limit.rate", By("one_request_too_many_is_429_with_the_time_to_wait_over_either_protocol_and_on_any_worker")),
    ("routes.rate_limit.burst", By("one_request_too_many_is_429_with_the_time_to_wait_over_either_protocol_and_on_any_worker")),
    ("routes.rate_limit.key", By("one_request_too_many_is_429_with_the_time_to_wait_over_either_protocol_and_on_any_worker")),
    ("routes.rate_limit.max_keys", By("a_flood_of_keys_takes_no_memory_and_locks_nobody_out")),
    ("routes.max_body", By("a_body_that_says_it_is_too_long_is_413_before_any_endpoint_is_asked")),
    ("routes.guard.basic", By("a_preview_is_for_those_who_have_its_password_or_its_token")),
    ("routes.guard.bearer", By("a_preview_is_for_those_who_have_its_password_or_its_token")),
    ("routes.guard.forward", By("an_endpoint_gets_the_credentials_where_the_route_says_so")),
    ("routes.cors.origins", By("a_preflight_is_answered_by_the_proxy_over_either_protocol")),
    ("routes.cors.methods", By("a_preflight_is_answered_by_the_proxy_over_either_protocol")),
    ("routes.cors.headers", By("a_preflight_is_answered_by_the_proxy_over_either_protocol")),
    ("routes.cors.expose", By("the_proxy_says_which_page_may_read_an_answer_and_the_endpoint_does_not")),
    ("routes.cors.credentials", By("a_preflight_is_answered_by_the_proxy_over_either_protocol")),
    ("routes.cors.max_age", By("a_preflight_is_answered_by_the_proxy_over_either_protocol")),
    ("routes.compress.types", By("the_keys_decide_and_a_rollback_takes_them_back")),
    ("routes.compress.min_size", By("the_keys_decide_and_a_rollback_takes_them_back")),
    ("routes.compress.level", By("what_goes_in_comes_out_again_from_a_used_compressor_too")),
    ("routes.pause.max_wait", By("one_too_many_and_one_too_long_are_503_with_the_time_to_come_back")),
    ("routes.pause.max_waiting", By("one_too_many_and_one_too_long_are_503_with_the_time_to_come_back")),
    ("routes.upgrades", By("a_route_forwards_other_upgrades_if_it_allows_them")),
];

/// The keys below a value of this form: those that its type names when it refuses an unknown one.
fn keys_of(wrap: &dyn Fn(Value) -> Value) -> Option<Vec<String>> {
    let forms: [fn(Value) -> Value; 3] = [
        |value| value,
        |value| json!([value]),
        |value| json!({ "blue": value }),
    ];
    forms.iter().find_map(|form| {
        let error = serde_json::from_value::<Config>(wrap(form(json!({ "zz": 1 })))).err()?;
        let error = error.to_string();
        let (_, expected) = error.split_once("unknown field `zz`, expected ")?;
        let names = expected.split('`').skip(1).step_by(2);
        Some(names.map(str::to_owned).collect())
    })
}

fn collect(path: &str, wrap: &dyn Fn(Value) -> Value, found: &mut BTreeSet<String>) {
    // A value that can be written in several forms is one key, as are the keys of a map.
    let is_leaf = [
        "routes.affinity",
        "routes.guard.basic",
        "routes.guard.bearer",
        "routes.rate_limit.key",
        "routes.headers",
        "routes.pins",
        "routes.query",
        "routes.split",
    ]
    .contains(&path);
    let Some(keys) = keys_of(wrap).filter(|_| !is_leaf) else {
        found.insert(path.to_owned());
        return;
    };
    for key in keys {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        for form in [
            |value| value,
            |value| json!([value]),
            |value| json!({ "blue": value }),
        ] {
            let nested = |value: Value| wrap(form(json!({ key.as_str(): value })));
            // Only the form of the type reaches the key.
            let probe = serde_json::from_value::<Config>(wrap(form(json!({ "zz": 1 }))));
            if probe.is_err_and(|error| error.to_string().contains("unknown field `zz`")) {
                collect(&below, &nested, found);
                break;
            }
        }
    }
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_key_has_an_entry_and_every_test_that_is_named_exists() {
    let mut keys = BTreeSet::new();
    collect("", &|value| value, &mut keys);
    let listed: BTreeSet<_> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(
        keys, listed,
        "keys that the types know, and those listed here"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    sources(&root.join("src"), &mut text);
    sources(&root.join("tests"), &mut text);
    for (key, shown) in KEYS {
        if let By(name) = shown {
            assert!(text.contains(&format!("fn {name}(")), "{key}: {name}");
        }
    }
}

/// Number of keys that are probed at a time: most of the time they wait for something that does not happen.
const AT_A_TIME: usize = 12;

/// The line that sets a key: at the top of the file, or within its listener, release or route.
fn line(key: &str, value: &str) -> String {
    let parts = ["listeners.", "releases.", "routes."];
    let name = parts.iter().find_map(|part| key.strip_prefix(part));
    let is_bare = value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok();
    let value = if is_bare || value.starts_with(['[', '{']) {
        value.to_owned()
    } else {
        format!("{value:?}")
    };
    format!("{} = {value}", name.unwrap_or(key))
}

#[test]
fn changing_a_key_changes_what_is_seen() {
    let probes: Vec<_> = KEYS
        .iter()
        .filter_map(|(key, shown)| match shown {
            Here(probe, values) => Some((*key, *probe, *values)),
            By(_) => None,
        })
        .collect();
    let next = AtomicUsize::new(0);
    let look = || {
        while let Some((key, probe, values)) = probes.get(next.fetch_add(1, Ordering::Relaxed)) {
            let differs = time::MOMENTS.into_iter().any(|moment| {
                time::wait_for(moment);
                let [one, other] = values.map(|value| probe(&line(key, value)));
                one != other
            });
            assert!(differs, "the same is seen whichever of {values:?} {key} is");
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(look);
        }
    });
}
