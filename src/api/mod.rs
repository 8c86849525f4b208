//! Response and request types of the admin API: made by the control plane, sent by the admin listener, read by the
//! command line.
//!
//! Plain data without behavior beyond what readers need; times are text with microseconds, RFC 3339, UTC.

mod backup;
mod calibration;
mod certificate;
mod changes;
mod crowded;
mod data_guard;
mod drill;
mod effect;
mod event;
mod feedback;
mod flag_kpis;
mod flags;
mod fleet;
mod fleet_offer;
mod going_back;
mod import;
mod kpis;
mod lists;
mod mirror;
mod moves;
mod options;
mod plan_choice;
mod preview;
mod problem;
mod quarantine;
mod receipt;
mod reload;
mod requests;
mod return_parts;
mod rollout;
mod rollout_request;
mod rollout_status;
mod route_status;
mod service_watch;
mod session;
mod status;
mod timestamp;
mod unproven;
mod verification;
mod work;

pub use self::{
    backup::{BackupRequest, BackupRun, BackupStatus},
    calibration::{
        CalibrationFinding, CalibrationPeak, CalibrationReport, RouteCalibration,
        RunningCalibration,
    },
    certificate::CertificateStatus,
    changes::{CHANGE_KEYS, ChangeItem, ChangesRequest, MOST_CHANGES},
    crowded::Crowded,
    data_guard::DataGuard,
    drill::{
        Drill, DrillAction, DrillList, DrillLoad, DrillRequest, DrillState, DrillStep, DrillSummary,
    },
    effect::{
        EffectFinding, EffectPeriod, EffectState, ReleaseEffect, RevisionEffect, RouteEffect,
    },
    event::{Event, EventBody, KEPT_EVENTS},
    feedback::{
        FeedbackAnswer, FeedbackEntry, FeedbackList, FeedbackReceipt, FeedbackRequest,
        LONGEST_LABEL, LONGEST_REQUEST_ID, LONGEST_SESSION_KEY,
    },
    flag_kpis::{FlagKpiReport, VariantComparison, VariantKpis},
    flags::{FlagEvaluation, FlagList, StaleFlag},
    fleet::{
        FleetKeepRequest, FleetLeader, FleetNode, FleetProgress, FleetSide, FleetState,
        FleetStatus, FleetWork, GoneNode, MissingNode, NodeWork,
    },
    fleet_offer::{FleetOffer, FleetOfferAnswer, FleetPeer, OfferOutcome, OfferedRollback},
    going_back::{GoingBack, ReturnCommand},
    import::{Conflict, ConflictPolicy, ImportReport},
    kpis::{
        KpiComparison, KpiDifference, KpiFeedback, KpiFinding, KpiMark, KpiPoints, KpiQuantiles,
        KpiReport, KpiRole, Kpis, LONGEST_WINDOW, MOST_POINTS, MOST_POINTS_OF_ALL, ReleaseKpis,
        RouteKpis,
    },
    lists::{ChangeAnswer, ReleaseList, RevisionDiff, RouteList},
    mirror::{
        MirrorAnswers, MirrorClassPair, MirrorDifference, MirrorFigures, MirrorJson, MirrorReport,
    },
    moves::{LastDrill, MovedUnit, RouteMoves, SeenRequests, ShareMove, WayBack},
    options::{LONGEST_WAIT, group_error, message_error},
    plan_choice::PlanChoice,
    preview::{LONGEST_PREVIEW, PreviewRequest, PreviewToken},
    problem::ProblemDocument,
    quarantine::{QuarantineList, QuarantineRequest, QuarantinedRelease},
    receipt::{DryRun, Receipt, RevisionDetail, RevisionPage, RevisionSummary, UnresolvedRelease},
    reload::{ReloadReport, SettingsReport},
    requests::{
        MessageRequest, PauseRequest, PromoteRequest, RollbackRequest, RouteBody,
        SplitPatchRequest, SplitRequest, SwitchRequest,
    },
    return_parts::ReturnParts,
    rollout::{
        Rollout, RolloutDryRun, RolloutEntry, RolloutFinding, RolloutGate, RolloutList,
        RolloutMetric, RolloutPause, RolloutRate, RolloutRoute, RolloutRouteDryRun, RolloutState,
        RolloutStepDryRun, RolloutVerdict,
    },
    rollout_request::{MOST_ROLLOUT_ROUTES, RolloutRequest, RouteChoice, RouteTo},
    rollout_status::{RolloutRouteStatus, RolloutStatus},
    route_status::{MirrorShare, RouteFacts, RouteGuard, RouteStatus, Share},
    service_watch::ServiceWatchStatus,
    session::{LoginRequest, Session},
    status::{
        ConvergenceStatus, Drift, DurabilityStatus, EjectionCause, EndpointHealth, EndpointStatus,
        InFlightOn, ReleaseRole, ReleaseStatus, RollbackStatus, Status, Totals, WorkerStatus,
    },
    timestamp::Timestamp,
    unproven::Unproven,
    verification::{
        OtherChange, OtherChangeKind, RequestRate, RouteVerification, Verification,
        VerificationList, VerificationReference, VerificationSignal, VerificationState,
        VerificationStatus, VerificationSummary, VerificationVerdict,
    },
    work::{
        ChangeWait, ClassWork, EndpointWork, RevisionWork, UndrainedNode, WaitUntil, Work,
        WorkState,
    },
};
