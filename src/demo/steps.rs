//! What to try next, as lines to paste.

use std::net::SocketAddr;

use super::Agents;

/// Lines to paste into a shell, with the addresses filled in.
pub fn next_steps(listen: SocketAddr, admin: SocketAddr, agents: &Agents) -> String {
    let (proxy, api) = (url(listen), url(admin));
    let (blue, green) = (url(agents.blue), url(agents.green));
    let json = "-H 'content-type: application/json'";
    format!(
        r#"The proxy is at {proxy}, the admin API at {api}.
Behind the proxy: blue 1.0.0 at {blue}, green 2.0.0 at {green}. Blue takes every request.

# send requests: who answers?
for i in $(seq 20); do curl -s {proxy}/; echo; done
curl -sN '{proxy}/stream?tokens=10'

# preview green, while nobody else sees it
curl -s {proxy}/ -H 'x-switchback-release: green'

# shift to 90/10, and look at the shares
curl -s -X PUT {api}/v1/routes/chat/split {json} -d '{{"weights":{{"blue":90,"green":10}},"message":"a first look"}}'
for i in $(seq 100); do curl -s {proxy}/; echo; done | grep -o '"release":"[a-z]*"' | sort | uniq -c

# switch to green
curl -s -X POST {api}/v1/routes/chat/switch {json} -d '{{"to":"green"}}'

# make green misbehave, and see it
curl -s -X POST {green}/behave {json} -d '{{"error_rate":0.3,"latency":"200ms","cut_streams":true}}'
for i in $(seq 20); do curl -s -o /dev/null -w '%{{http_code}} %{{time_total}}s\n' {proxy}/; done

# roll back, in one atomic step; once more for the step before
curl -s -X POST {api}/v1/rollback

# make green well again
curl -s -X POST {green}/behave {json} -d '{{}}'

# history, status, metrics
curl -s {api}/v1/revisions
curl -s {api}/v1/status
curl -s {api}/metrics | grep '^switchback_'

Ctrl-C ends it.
"#
    )
}

/// An address as a client on this machine writes it.
fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", address.port())
    } else {
        format!("http://{address}")
    }
}
