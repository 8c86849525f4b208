//! The tour: commands to try next.

use std::{fmt::Write as _, net::SocketAddr, path::Path};

use super::Agents;

/// Commands for a shell, with the addresses filled in: each step as a command, and below it the same over HTTP.
///
/// `temp_dir` is the folder of the program; it is added to `PATH`, so that the commands are found.
pub fn next_steps(
    listen: SocketAddr,
    admin: SocketAddr,
    agents: &Agents,
    folder: Option<&Path>,
) -> String {
    let (proxy, api) = (url(listen), url(admin));
    let (blue, green) = (url(agents.blue), url(agents.green));
    let json = "-H 'content-type: application/json'";
    let mut text = format!(
        "The proxy is at {proxy}, the admin API at {api}.
Behind the proxy: blue 1.0.0 at {blue}, green 2.0.0 at {green}. Blue gets every request.
Paste these lines into another shell.
"
    );
    if let Some(folder) = folder {
        let _ = write!(
            text,
            "
export PATH={}:\"$PATH\"
export SWITCHBACK_ADMIN={api}
",
            quoted(folder)
        );
    }
    let _ = write!(
        text,
        r#"
# send requests: which release responds?
for i in $(seq 20); do curl -s {proxy}/; done
curl -sN '{proxy}/stream?tokens=10'

# preview green, hidden from all other clients
curl -s {proxy}/ -H 'x-switchback-release: green'

# shift to 90/10, and look at the shares
switchback split chat blue=90 green=10 -m 'a first look'
curl -s -X PUT {api}/v1/routes/chat/split {json} -d '{{"weights":{{"blue":90,"green":10}},"message":"a first look"}}'
for i in $(seq 100); do curl -s {proxy}/; done | grep -o '"release":"[a-z]*"' | sort | uniq -c

# switch to green
switchback switch chat green
curl -s -X POST {api}/v1/routes/chat/switch {json} -d '{{"to":"green"}}'

# inject faults into green, and see them
curl -s -X POST {green}/behave {json} -d '{{"error_rate":0.3,"latency":"200ms","cut_streams":true}}'
for i in $(seq 20); do curl -s -o /dev/null -w '%{{http_code}} %{{time_total}}s\n' {proxy}/; done

# roll back, in one atomic step; once more for the step before
switchback rollback
curl -s -X POST {api}/v1/rollback

# remove the faults
curl -s -X POST {green}/behave {json} -d '{{}}'

# history, status, metrics
switchback history
switchback status
curl -s {api}/v1/revisions
curl -s {api}/v1/status
curl -s {api}/metrics | grep '^switchback_'

Ctrl-C ends it.
"#
    );
    text
}

/// A path, quoted for a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The URL of an address for clients on this machine.
fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_quote_is_still_one_word() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
