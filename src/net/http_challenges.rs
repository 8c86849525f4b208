//! Answers to the questions that a certificate authority asks over plain HTTP (RFC 8555, section 8.3).

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

/// Path before the token of a question.
const PREFIX: &[u8] = b"/.well-known/acme-challenge/";

/// The answers by token, each for as long as its order is under way.
#[derive(Debug, Default)]
pub struct HttpChallenges(ArcSwap<HashMap<Box<str>, Arc<str>>>);

impl HttpChallenges {
    /// The answer to a question at this path; `None` if it is none of an order that is under way.
    pub fn answer(&self, path: &[u8]) -> Option<Arc<str>> {
        let token = path.strip_prefix(PREFIX)?;
        let token = std::str::from_utf8(token).ok()?;
        self.0.load().get(token).cloned()
    }

    /// Answers a question from now on.
    pub fn begin(&self, token: &str, answer: &str) {
        let answer: Arc<str> = answer.into();
        self.change(|map| {
            map.insert(token.into(), Arc::clone(&answer));
        });
    }

    /// Answers it no longer.
    pub fn end(&self, token: &str) {
        self.change(|map| {
            map.remove(token);
        });
    }

    fn change(&self, change: impl Fn(&mut HashMap<Box<str>, Arc<str>>)) {
        self.0.rcu(|map| {
            let mut map = HashMap::clone(map);
            change(&mut map);
            map
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_of_orders_under_way_have_an_answer() {
        let all = HttpChallenges::default();
        let path = b"/.well-known/acme-challenge/abc";
        assert_eq!(all.answer(path), None);
        all.begin("abc", "abc.thumb");
        assert_eq!(all.answer(path).as_deref(), Some("abc.thumb"));
        for other in [
            &b"/.well-known/acme-challenge/"[..],
            b"/.well-known/acme-challenge/abcd",
            b"/abc",
            b"/",
            b"",
        ] {
            assert_eq!(all.answer(other), None);
        }
        all.end("abc");
        assert_eq!(all.answer(path), None);
    }
}
