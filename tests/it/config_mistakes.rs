//! Common mistakes in configurations and their errors: the table is `tests/golden/config/mistakes.txt`. What `check`
//! refuses, `serve` refuses in the same words.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::conformance::child::Switchback;
use crate::support::write;

/// Number of programs that run at a time.
const AT_A_TIME: usize = 4;

fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config/mistakes.txt")
}

/// A name, a configuration and its errors, as in the table.
fn mistakes(table: &str) -> Vec<(String, String, String)> {
    let blocks = table.split("=== ").skip(1);
    let mistake = |block: &str| {
        let (name, rest) = block.split_once('\n').unwrap();
        let (text, said) = match rest.strip_prefix("---\n") {
            Some(said) => ("", said),
            None => rest.split_once("\n---\n").unwrap(),
        };
        let end = if text.is_empty() { "" } else { "\n" };
        (name.to_owned(), format!("{text}{end}"), said.to_owned())
    };
    blocks.map(mistake).collect()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that starts although it should not is ended here.
    let end = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() && Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
    }
    _ = child.kill();
    child.wait_with_output().unwrap()
}

/// The output of `check` for the file in a folder, after `serve` was seen to print the same.
fn said(folder: &Path) -> String {
    let check = run(folder, &["check", "switchback.toml"]);
    let serve = run(folder, &["serve", "--config", "switchback.toml"]);
    let words = |output: &Output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.replace(folder.to_str().unwrap(), "FOLDER")
    };
    assert_eq!(check.status.code(), Some(78), "{}", words(&check));
    assert_eq!(serve.status.code(), Some(78), "{}", words(&serve));
    assert_eq!(words(&check), words(&serve));
    words(&check)
}

#[test]
fn every_mistake_is_answered_with_what_was_meant_and_check_and_serve_agree() {
    let golden = fs::read_to_string(table()).unwrap();
    let mistakes = mistakes(&golden);
    assert!(mistakes.len() > 100, "{}", mistakes.len());
    let part = mistakes.len().div_ceil(AT_A_TIME);
    let said_of = |(_, text, _): &(String, String, String)| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("switchback.toml"), text);
        said(folder.path())
    };
    let found: Vec<String> = thread::scope(|scope| {
        let parts = mistakes.chunks(part);
        let parts = parts.map(|part| scope.spawn(move || part.iter().map(said_of).collect()));
        let parts: Vec<_> = parts.collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap());
        joined.collect::<Vec<Vec<String>>>().concat()
    });
    let mut written = String::new();
    for ((name, text, _), said) in mistakes.iter().zip(&found) {
        write!(written, "=== {name}\n{text}---\n{said}").unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write(table(), &written);
    }
    assert_eq!(written, fs::read_to_string(table()).unwrap());
}

#[test]
fn a_reload_of_an_invalid_file_ends_as_check_does() {
    let running = Switchback::start(
        &[""],
        "[releases.blue]\nendpoints = [\"http://127.0.0.1:1\"]\n\
         [[routes]]\nname = \"chat\"\nsplit = { blue = 1 }\n",
    );
    let file = running.file();
    let text = fs::read_to_string(&file).unwrap();
    write(
        file.parent().unwrap().join("switchback.toml"),
        text.replace("blue = 1", "green = 1"),
    );
    let admin = running.admin().to_string();
    let reload = run(file.parent().unwrap(), &["reload", "--admin", &admin]);
    let said = String::from_utf8_lossy(&reload.stderr);
    assert_eq!(reload.status.code(), Some(78), "{said}");
    assert!(said.contains("routes.chat.split"), "{said}");
}

const REST: &str = "[admin]\naddress = \"127.0.0.1:0\"\n[history]\npath = \"history\"\n\
    [releases.blue]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\nname = \"chat\"\nsplit = { blue = 1 }\n";

/// Configurations with unusable files, each with its error.
fn unusable() -> Vec<(String, &'static str)> {
    let tls = |cert: &str, key: &str, more: &str| {
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[listeners.tls]\ncertificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n{more}{REST}"
        )
    };
    let plain = "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let token = |file: &str| {
        let tokens = format!("[admin]\ntokens = [{{ role = \"operator\", file = \"{file}\" }}]\n");
        format!("{plain}{}", REST.replace("[admin]\n", &tokens))
    };
    let endpoint = |tls: &str| {
        let https = format!("https://127.0.0.1:1\"]\ntls = {{ {tls} }}\n");
        format!("{plain}{}", REST.replace("http://127.0.0.1:1\"]\n", &https))
    };
    vec![
        (
            tls("a.key", "a.pem", ""),
            "4: listeners.0.tls.certificates.0.cert: cannot use `FOLDER/a.key`: it holds no certificate\n  \
             hint: the two files are swapped: `cert` is the certificate, `key` its private key\n",
        ),
        (
            tls("a.pem", "b.key", ""),
            "4: listeners.0.tls.certificates.0.key: cannot use `FOLDER/b.key`: it is not the key of the certificate\n",
        ),
        (
            tls("empty", "a.key", ""),
            "4: listeners.0.tls.certificates.0.cert: cannot use `FOLDER/empty`: it holds no certificate\n",
        ),
        (
            tls("a.pem", "empty", ""),
            "4: listeners.0.tls.certificates.0.key: cannot use `FOLDER/empty`: it holds no private key\n",
        ),
        (
            tls("a.pem", "a.key", "client_ca = \"a.key\"\n"),
            "5: listeners.0.tls.client_ca: cannot use `FOLDER/a.key`: it holds no certificate\n",
        ),
        (
            token("empty"),
            "4: admin.tokens.0.file: the token `empty` is not 16 or more visible ASCII characters\n",
        ),
        (
            token("token"),
            "4: admin.tokens.0.file: the token `token` is not 16 or more visible ASCII characters\n",
        ),
        (
            endpoint("ca = \"empty\""),
            "9: releases.blue.tls.ca: cannot use `FOLDER/empty`: it holds no certificate\n",
        ),
        (
            endpoint("ca = \"a.pem\", cert = \"a.pem\", key = \"b.key\""),
            "9: releases.blue.tls.key: cannot use `FOLDER/b.key`: it is not the key of the certificate\n",
        ),
    ]
}

/// The same for certificates from an authority.
fn unusable_for_acme() -> Vec<(String, &'static str)> {
    let plain = "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let acme = |more: &str| {
        format!(
            "{plain}[listeners.tls.acme]\ndomains = [\"a.test\"]\n{more}\ndirectory = \"https://a.test/dir\"\n{REST}"
        )
    };
    vec![
        (
            acme("eab = { kid = \"a\", key_file = \"token\" }"),
            "5: listeners.0.tls.acme.eab.key_file: `FOLDER/token` holds no key in base64url of at least 32 bytes\n  \
             hint: the authority shows the key beside its `kid`\n",
        ),
        (
            acme("path = \"token\""),
            "5: listeners.0.tls.acme.path: `FOLDER/token` is not a folder\n  \
             hint: set a folder for the account and the certificates\n",
        ),
    ]
}

/// The same for certificates of the admin API.
fn unusable_for_admin() -> Vec<(String, &'static str)> {
    let plain = "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let admin = |cert: &str, key: &str, more: &str| {
        let pair = format!("{{ cert = \"{cert}\", key = \"{key}\" }}");
        let tls = format!("[admin]\ntls = {{ certificates = [{pair}]{more} }}\n");
        format!("{plain}{}", REST.replace("[admin]\n", &tls))
    };
    vec![
        (
            admin("a.key", "a.pem", ""),
            "4: admin.tls.certificates.0.cert: cannot use `FOLDER/a.key`: it holds no certificate\n  \
             hint: the two files are swapped: `cert` is the certificate, `key` its private key\n",
        ),
        (
            admin("a.pem", "b.key", ""),
            "4: admin.tls.certificates.0.key: cannot use `FOLDER/b.key`: it is not the key of the certificate\n",
        ),
        (
            admin("a.pem", "empty", ""),
            "4: admin.tls.certificates.0.key: cannot use `FOLDER/empty`: it holds no private key\n",
        ),
        (
            admin("a.pem", "a.key", ", client_ca = \"a.key\""),
            "4: admin.tls.client_ca: cannot use `FOLDER/a.key`: it holds no certificate\n",
        ),
    ]
}

#[test]
fn what_serve_cannot_use_check_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["a", "b"] {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([format!("{name}.test")]).unwrap();
        write(folder.join(format!("{name}.pem")), cert.pem());
        write(
            folder.join(format!("{name}.key")),
            signing_key.serialize_pem(),
        );
    }
    write(folder.join("empty"), "");
    write(folder.join("token"), "short\n");
    for (text, expected) in [unusable(), unusable_for_acme(), unusable_for_admin()].concat() {
        write(folder.join("switchback.toml"), &text);
        assert_eq!(
            said(folder),
            format!("error: switchback.toml:{expected}"),
            "{text}"
        );
    }
}

#[test]
fn variables_are_read_and_what_they_hold_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str, arguments: &[&str]| {
        write(folder.path().join("switchback.toml"), text);
        let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
            .args(["check", "switchback.toml"])
            .args(arguments)
            .current_dir(folder.path())
            .env("BLUE", "hidden-host.internal")
            .env("BETA", "hidden value")
            .output()
            .unwrap();
        let all = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(all).unwrap())
    };
    let text = "[[listeners]]\naddress = \"${ADDRESS:-127.0.0.1:0}\"\n\
                [releases.blue]\nendpoints = [\"http://${BLUE}:9000\"]\n\
                [[routes]]\nname = \"chat\"\nheaders = { x-beta = \"${BETA}\", x-cost = \"$${BETA} $5\" }\nsplit = { blue = 1 }\n";
    let (status, normal) = check(text, &[]);
    assert_eq!(status, Some(0), "{normal}");
    for shown in [
        "${ADDRESS:-127.0.0.1:0}",
        "http://${BLUE}:9000",
        "\"${BETA}\"",
        "\"$${BETA} $5\"",
    ] {
        assert!(normal.contains(shown), "{shown} is not in\n{normal}");
    }
    assert_eq!(
        check(&normal, &[]),
        (Some(0), normal.clone()),
        "it is read again"
    );
    let (_, json) = check(text, &["--json"]);
    assert!(
        !normal.contains("hidden") && !json.contains("hidden"),
        "{json}"
    );
    for wrong in [
        text.replace("http://${BLUE}:9000", "${BLUE}"),
        text.replace("${ADDRESS:-127.0.0.1:0}", "${BLUE}"),
        text.replace("\"${BETA}\"", "\" ${BETA} \""),
        text.replace(
            "http://${BLUE}:9000\"",
            "http://${BLUE}:9000\", \"http://${BLUE}:9000\"",
        ),
        text.replace("name = \"chat\"", "name = \"${BETA}\""),
    ] {
        let (status, said) = check(&wrong, &[]);
        assert_eq!(status, Some(78), "{said}");
        assert!(!said.contains("hidden") && said.contains("${B"), "{said}");
    }
}
