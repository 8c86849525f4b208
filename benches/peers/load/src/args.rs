//! `--key value` pairs.

use std::{collections::HashMap, str::FromStr};

#[derive(Clone)]
pub struct Args(HashMap<String, String>);

impl Args {
    pub fn new(words: impl Iterator<Item = String>) -> Self {
        let words: Vec<String> = words.collect();
        let pair = |pair: &[String]| (pair[0].trim_start_matches("--").to_owned(), pair.get(1).cloned().unwrap_or_default());
        Self(words.chunks(2).map(pair).collect())
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub fn get<T: FromStr>(&self, key: &str, default: T) -> T {
        self.text(key).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("--{key} {text}")))
    }
}
