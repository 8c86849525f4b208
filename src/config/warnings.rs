//! What is allowed and will hardly do what it was written for.

use super::Config;
use crate::model::{Problem, Protocol};

impl Config {
    /// What deserves a second look. None of it keeps a configuration from being used.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for route in &self.routes {
            let at = || format!("routes.{}.timeouts.websocket_idle", route.name);
            let has_websockets = route.timeouts.websocket_idle.is_some();
            for name in route.split.keys().filter(|_| has_websockets) {
                let release = self.releases.get(name);
                if release.is_some_and(|release| release.spec.protocol == Protocol::Http2) {
                    let message = format!("WebSockets to `{name}`, which speaks h2, get 501");
                    let hint = "let its endpoints speak `http/1.1` if they serve WebSockets";
                    found.push(Problem::new(at(), message).hint(hint));
                }
            }
        }
        found
    }
}
