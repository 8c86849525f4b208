//! The files of the dashboard, embedded, each with its tag.

use std::{collections::HashMap, fmt::Write as _};

use axum::http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// An embedded file.
#[derive(Debug)]
pub(super) struct File {
    /// Path below `/dashboard/`.
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
}

/// The files by name, with their tags.
pub(super) struct Files(HashMap<&'static str, (&'static File, HeaderValue)>);

macro_rules! files {
    ($($name:literal)*) => {
        &[$(File { name: $name, bytes: include_bytes!(concat!("static/", $name)) }),*]
    };
}

const FILES: &[File] = files![
    "api.js"
    "app.js"
    "changes.js"
    "events.js"
    "feed.js"
    "figures.js"
    "flag_words.js"
    "format.js"
    "html.js"
    "icon.svg"
    "index.html"
    "pages/drills.js"
    "pages/flags.js"
    "pages/history.js"
    "pages/now.js"
    "pages/releases.js"
    "pages/rollouts.js"
    "pages/verifications.js"
    "parts.css"
    "session.js"
    "store.js"
    "style.css"
    "vendor/htm.LICENSE"
    "vendor/htm.mjs"
    "vendor/preact.LICENSE"
    "vendor/preact.mjs"
    "vendor/uPlot.LICENSE"
    "vendor/uPlot.iife.min.js"
    "vendor/uPlot.min.css"
    "views/backup_card.js"
    "views/change_dialog.js"
    "views/chart.js"
    "views/chips.js"
    "views/command_dialog.js"
    "views/dialog.js"
    "views/diff.js"
    "views/drill_form.js"
    "views/dry_run.js"
    "views/effect.js"
    "views/endpoints.js"
    "views/evaluation_form.js"
    "views/event_log.js"
    "views/failure.js"
    "views/flag_shares.js"
    "views/fleet_card.js"
    "views/frame.js"
    "views/going_back.js"
    "views/listing.js"
    "views/login.js"
    "views/mirror_panel.js"
    "views/receipt.js"
    "views/release_table.js"
    "views/revision_detail.js"
    "views/rollback_card.js"
    "views/rollout_form.js"
    "views/rollout_panel.js"
    "views/route_actions.js"
    "views/route_card.js"
    "views/route_charts.js"
    "views/route_state.js"
    "views/sparkline.js"
    "views/split_bar.js"
    "views/verdict.js"
    "views/weights_form.js"
    "views/work.js"
];

impl File {
    /// Type by the ending of the name; nothing is guessed from the content.
    pub(super) fn media_type(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/plain; charset=utf-8",
        }
    }
}

impl Files {
    /// All files. A tag is the digest of the content.
    pub(super) fn new() -> Self {
        let tagged = FILES.iter().map(|file| {
            let digest = Sha256::digest(file.bytes);
            let digits = digest[..16].iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            let tag = HeaderValue::from_str(&format!("\"{digits}\""));
            let tag = tag.expect("digits in quotes are a header value");
            (file.name, (file, tag))
        });
        Self(tagged.collect())
    }

    pub(super) fn find(&self, name: &str) -> Option<(&'static File, &HeaderValue)> {
        self.0.get(name).map(|(file, tag)| (*file, tag))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
    };

    use super::*;

    fn in_folder(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                in_folder(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/dashboard/static");
        let mut found = Vec::new();
        in_folder(&folder, &mut found);
        let found: BTreeSet<_> = found
            .iter()
            .map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap())
            .collect();
        let embedded: BTreeSet<_> = FILES.iter().map(|file| file.name).collect();
        assert_eq!(embedded, found);
    }

    #[test]
    fn nothing_of_the_page_is_from_elsewhere_inline_or_evaluated() {
        for file in FILES
            .iter()
            .filter(|file| !file.name.starts_with("vendor/"))
        {
            let text = std::str::from_utf8(file.bytes).unwrap();
            // The name of the format, and not an address that is asked.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for wrong in [
                "http://",
                "https://",
                "eval(",
                "new Function",
                "innerHTML",
                " style=\"",
            ] {
                let found = text.lines().find(|line| line.contains(wrong));
                assert_eq!(found, None, "{}: {wrong}", file.name);
            }
        }
        let page = FILES.iter().find(|file| file.name == "index.html").unwrap();
        let page = std::str::from_utf8(page.bytes).unwrap();
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, page.matches("></script>").count());
        assert!(!page.contains("<style"));
    }
}
