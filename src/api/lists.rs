//! The routes and releases of the live table, as the admin API lists them.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema, schema::AnyOfBuilder},
};

use super::{DryRun, Receipt};
use crate::model::{Diff, ReleaseDocument, ReleaseName, Revision, RouteSpec};

/// Body of `GET /v1/routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouteList {
    /// The live revision.
    pub revision: Revision,
    /// The routes in the order of the table.
    pub routes: Vec<RouteSpec>,
}

/// Body of `GET /v1/releases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseList {
    /// The live revision.
    pub revision: Revision,
    /// The releases of the table by name.
    #[schema(value_type = BTreeMap<String, ReleaseDocument>)]
    pub releases: BTreeMap<ReleaseName, ReleaseDocument>,
}

/// Body of `GET /v1/revisions/{a}/diff/{b}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionDiff {
    /// The earlier side.
    pub from: Revision,
    /// The later side.
    pub to: Revision,
    /// Differences; `before` is the side of `from`.
    pub diff: Diff,
}

/// Response to a change: a receipt, or with `?dry_run=true` what it would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChangeAnswer {
    /// The change was applied.
    Receipt(Box<Receipt>),
    /// The change was not made.
    DryRun(Box<DryRun>),
}

// Written by hand, since a receipt has all keys of a dry run: a derived `oneOf` would reject it.
impl PartialSchema for ChangeAnswer {
    fn schema() -> RefOr<Schema> {
        let either = AnyOfBuilder::new()
            .item(Ref::from_schema_name("Receipt"))
            .item(Ref::from_schema_name("DryRun"))
            .build();
        RefOr::T(Schema::AnyOf(either))
    }
}

impl ToSchema for ChangeAnswer {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ChangeAnswer")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Receipt".to_owned(), Receipt::schema()));
        schemas.push(("DryRun".to_owned(), DryRun::schema()));
        Receipt::schemas(schemas);
        DryRun::schemas(schemas);
    }
}
