//! Configuration files: whatever the text, there is a configuration or a list of problems, and no problem is empty.

#![no_main]

use std::path::Path;

use libfuzzer_sys::{Corpus, fuzz_target};
use switchback_fuzz::config::{FileCheck, parse};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else {
        return Corpus::Reject;
    };
    if let Err(problems) = parse(text, Path::new("/"), FileCheck::MayBeMissing) {
        assert!(!problems.is_empty());
        assert!(
            problems
                .iter()
                .all(|placed| !placed.problem.message.is_empty())
        );
    }
    Corpus::Keep
});
