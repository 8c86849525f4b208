//! Guards of routes: rate limits, limits of bodies, credentials, pages of other origins, and pauses.

use switchback::model::{Change, RouteSpec};

use crate::support::{Client, Origin, Response, TestProxy};

mod access;
mod bodies;
mod cors;
mod pause;
mod rates;

/// A proxy with one route, which has these further keys.
fn guarded(origin: &Origin, lines: &str) -> TestProxy {
    TestProxy::builder()
        .release("blue", &[origin])
        .route_with("all", &[("blue", 1)], lines)
        .start()
}

/// Sends a GET with further fields.
fn get_with(client: &mut Client, fields: &str) -> Response {
    let request = format!("GET / HTTP/1.1\r\nHost: agents.test\r\n{fields}\r\n");
    client.send(request).response()
}

fn reason(response: &Response) -> (u16, Option<&str>) {
    (response.status, response.value("x-switchback-reason"))
}

/// Changes the route.
fn change_route(proxy: &TestProxy, change: impl Fn(&mut RouteSpec)) {
    let live = proxy.cell.load();
    let mut route: RouteSpec = (***live.state().spec.routes().get(0).unwrap()).clone();
    change(&mut route);
    let route = Box::new(route);
    let swapped = proxy.change(&Change::PutRoute { route });
    proxy.converged(swapped.table.revision());
}

/// Rolls back, and waits until every worker knows it.
fn roll_back(proxy: &TestProxy) {
    let revision = proxy.rollback();
    proxy.converged(revision);
}
