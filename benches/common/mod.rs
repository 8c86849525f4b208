//! What the benches share: tables of any size, and requests that take their routes.
#![expect(dead_code, reason = "each bench uses a part of it")]

use std::{net::SocketAddr, sync::Arc};

use switchback::{
    fleet::Fleet,
    model::{EndpointUrl, RequestView, Revision, TableDocument, TableState, Touched},
    table::{Compiled, TableCell, Undo, compile},
};

/// A request as a decision sees it.
pub(crate) struct Request {
    path: String,
    session: Option<Vec<u8>>,
}

impl Request {
    /// A request for a route of [`state`].
    pub(crate) fn to(route: usize) -> Self {
        Self {
            path: format!("/agents/{route}/messages"),
            session: None,
        }
    }

    /// The same with a session.
    pub(crate) fn of(self, session: &str) -> Self {
        Self {
            session: Some(session.into()),
            ..self
        }
    }
}

impl RequestView for Request {
    fn method(&self) -> &'static str {
        "POST"
    }

    fn host(&self) -> &'static str {
        "agents.example.com"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.session.as_deref().filter(|_| name == "x-session-id")
    }

    fn cookie(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}

/// A table of two releases with four endpoints each, and this many routes.
pub(crate) fn state(routes: usize) -> TableState {
    let urls = |port: u16| -> Vec<String> {
        (port..port + 4)
            .map(|port| format!("http://127.0.0.1:{port}"))
            .collect()
    };
    let route = |number| {
        serde_json::json!({
            "name": format!("r{number}"), "host": "agents.example.com", "path_prefix": format!("/agents/{number}"),
            "split": {"blue": 95, "green": 5}, "affinity": [{"header": "x-session-id"}],
        })
    };
    let document = serde_json::json!({
        "releases": {"blue": {"endpoints": urls(9000)}, "green": {"endpoints": urls(9100)}},
        "routes": (0..routes).map(route).collect::<Vec<_>>(),
    });
    let document: TableDocument = serde_json::from_value(document).expect("the document is valid");
    document.into_state(&TableState::default())
}

/// The whole table, compiled anew.
pub(crate) fn compiled(state: &TableState, fleet: &Fleet) -> Arc<Compiled> {
    let draft =
        compile(state.clone(), &Touched::default(), None, fleet).expect("the table is valid");
    Arc::clone(draft.compiled())
}

/// A cell in which a table of this many routes is live, its endpoints known.
pub(crate) fn live(routes: usize, workers: usize) -> (TableCell, Fleet) {
    let (cell, fleet, state) = (TableCell::new(workers), Fleet::new(workers), state(routes));
    let draft =
        compile(state.clone(), &Touched::default(), None, &fleet).expect("the table is valid");
    for (name, release) in draft.compiled().releases() {
        let member =
            |url: &EndpointUrl| (url.clone(), SocketAddr::from(([127, 0, 0, 1], url.port())));
        let members: Vec<_> = state.endpoints(name).iter().map(member).collect();
        release.roster().set(&members);
    }
    cell.publish(draft, Revision(1), Revision(0), Undo::Push(None), 0)
        .expect("nothing else is live");
    (cell, fleet)
}

/// A generator of draws that costs less than what is measured (splitmix64).
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    /// The next draw.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
