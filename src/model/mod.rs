//! Types of the domain.
//!
//! They cover input and output ([`TableDocument`], [`Change`], [`RevisionRecord`], [`Problem`]) and the view of a
//! request for decisions ([`RequestView`]). Nothing here knows tokio, hyper, a socket, a file or the clock, so every
//! rule can be tested with literals.

mod agent_card;
mod agent_protocol;
mod answer;
mod balance;
mod change;
mod chunked_map;
mod compress;
mod cors;
mod date;
mod diff;
mod digest;
mod document;
mod drill;
mod duration;
mod endpoint;
mod endpoint_spec;
mod feedback_by;
mod flag;
mod flag_condition;
mod flag_patch;
mod flag_type;
mod flag_value;
mod growth;
mod guard;
mod header_changes;
mod health;
mod hook;
mod in_flight;
mod json_path;
mod mcp;
mod metric_query;
mod mirror;
mod mirror_json;
mod moves;
mod name;
mod opinion;
mod outcome;
mod pause;
mod percent;
mod problem;
mod public_url;
mod rate_limit;
mod release;
pub mod rendezvous;
mod request;
mod retries;
mod revision;
mod rollout;
mod route;
mod schema;
mod session;
mod shared_mark;
mod size;
mod sorted_map;
mod table;
mod text_serde;
mod timeouts;
mod token_bucket;
mod unique_json;
mod variant_mark;
mod way_back;
mod weights;
mod work;

pub(crate) use self::text_serde::serde_as_text;
pub use self::{
    agent_card::{AgentCards, CardRewrite, is_endpoint, rewrite_card},
    agent_protocol::AgentProtocol,
    answer::{LONGEST_ANSWER, MaintenanceSpec, RedirectSpec, RespondSpec},
    balance::{Balance, EjectionSpec},
    change::{Applied, Change, ChangeError, ChangeSet},
    chunked_map::ChunkedMap,
    compress::CompressSpec,
    cors::CorsSpec,
    date::{Date, DateError},
    diff::{Diff, DiffEntry, ShareChange},
    digest::{Digest, Hashed},
    document::{ReleaseDocument, TableDocument},
    drill::{DrillLevel, DrillRequestSpec, MOST_DRILL_REQUESTS},
    duration::HumanDuration,
    endpoint::{EndpointUrl, Scheme},
    endpoint_spec::EndpointSpec,
    feedback_by::FeedbackBy,
    flag::{
        FlagReason, FlagRule, FlagSpec, FlagState, Prerequisite, RELEASE_ATTRIBUTE, TARGETING_KEY,
        VariantWeights,
    },
    flag_condition::{FlagCondition, NumberRange, SemverRange},
    flag_patch::FlagPatch,
    flag_type::FlagType,
    flag_value::FlagValue,
    growth::{Growth, rescues},
    guard::{GuardSpec, SecretDigest},
    header_changes::HeaderChangesSpec,
    health::{HealthMethod, HealthSpec, StatusRange},
    hook::{HookEvent, HookUrl},
    in_flight::{InFlightSpec, LeavePolicies, SessionPolicy, WorkPolicy},
    json_path::JsonPath,
    mcp::{MCP_SESSION_FIELD, McpAgreement},
    metric_query::{MetricQuery, WorseWhen},
    mirror::{MIRROR_FIELD, MirrorFailure, MirrorSkip, MirrorSpec},
    mirror_json::{CompareJsonSpec, JsonSkip},
    moves::{MovedShare, moved_shares},
    name::{
        FlagName, HookName, MetricName, NameError, PlanName, ReleaseName, RouteName, VariantName,
        Version,
    },
    opinion::{Opinion, OpinionSign, Thumb},
    outcome::{AttemptFailure, DecisionReason, Fault, Outcome, OutcomeClass},
    pause::PauseSpec,
    percent::{Percent, Percents},
    problem::{Problem, closest},
    public_url::PublicUrl,
    rate_limit::{Period, Rate, RateLimitSpec},
    release::{LimitsSpec, Protocol, ReleaseSpec, UpstreamTls},
    request::RequestView,
    retries::{Fallback, RetriesSpec},
    revision::{Actor, Author, Cause, Revision, RevisionRecord},
    rollout::{MOST_STEPS, PlanSpec, StepEnd, StepSpec},
    route::{HostHeader, PathMatch, RouteSpec, StripPrefix},
    schema::{
        percents as percents_schema, some_weights as some_weights_schema, weights as weights_schema,
    },
    session::{
        AffinitySource, MCP_PARAM, OVERRIDE_FIELD, Overrides, PinLost, PinSource, STAMP_FIELD,
    },
    shared_mark::{LocalRollback, SharedMark, TablePart},
    size::Size,
    sorted_map::SortedMap,
    table::{FlagSpecs, Rosters, TableSpec, TableState},
    timeouts::TimeoutsSpec,
    token_bucket::TokenBucket,
    unique_json::UniqueJson,
    variant_mark::{VariantMark, VariantMarks},
    way_back::{LONGEST_REASON, RollbackSpec},
    weights::{MAX_WEIGHT, Weights},
    work::{CutCause, LeaveCause, WorkClass},
};
