//! Reads of ranges, in pages at one revision.

use serde_json::{Value, json};

use super::{
    client::EtcdClient,
    error::EtcdError,
    key_range::KeyRange,
    member::Call,
    wire::{KeyValue, RangePage, StoreState},
};

/// Pairs of the first page, each of which may be as large as etcd takes them.
const FIRST_PAGE: usize = 16;
/// Most pairs of a page.
const LARGEST_PAGE: usize = 1000;
/// Bytes that a page should have.
const PAGE_BYTES: usize = 1 << 20;
/// Attempts at a range whose revision is compacted while it is read.
const ATTEMPTS: usize = 3;

/// Range that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranged {
    /// The store, at the revision at which all pages were read.
    pub store: StoreState,
    /// The pairs, in the order of their keys.
    pub pairs: Vec<KeyValue>,
}

impl EtcdClient {
    /// The pair of a key, or none, with all writes that were acknowledged before.
    ///
    /// # Errors
    /// If etcd cannot be reached or refuses.
    pub async fn get(&self, key: &[u8]) -> Result<Ranged, EtcdError> {
        self.range(&KeyRange::one(key)).await
    }

    /// All pairs of a range at one revision, with all writes that were acknowledged before.
    ///
    /// # Errors
    /// If etcd cannot be reached or refuses, or if the pairs have more bytes than an answer may.
    pub async fn range(&self, keys: &KeyRange) -> Result<Ranged, EtcdError> {
        for _ in 1..ATTEMPTS {
            match self.range_once(keys).await {
                Err(EtcdError::Compacted) => {}
                ranged => return ranged,
            }
        }
        self.range_once(keys).await
    }

    async fn range_once(&self, keys: &KeyRange) -> Result<Ranged, EtcdError> {
        let most = self.members.settings.largest_answer;
        let mut page = self.page(keys, 0, FIRST_PAGE).await?;
        let store = page.store;
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        loop {
            bytes += page.pairs.iter().map(bytes_of).sum::<usize>();
            pairs.append(&mut page.pairs);
            if bytes > most {
                return Err(EtcdError::AnswerTooLarge(most));
            }
            let Some(last) = pairs.last().filter(|_| page.more) else {
                return Ok(Ranged { store, pairs });
            };
            let rest = keys.behind(&last.key);
            let limit = next_limit(pairs.len(), bytes);
            page = self.page(&rest, store.revision, limit).await?;
        }
    }

    async fn page(
        &self,
        keys: &KeyRange,
        revision: u64,
        limit: usize,
    ) -> Result<RangePage, EtcdError> {
        let mut body = keys.members();
        body.insert("limit".to_owned(), json!(limit.to_string()));
        body.insert("revision".to_owned(), json!(revision.to_string()));
        let call = Call {
            path: "/v3/kv/range",
            body: Value::Object(body).to_string().into(),
            repeatable: true,
            writes: false,
            needs_leader: true,
        };
        Ok(RangePage::read(&self.call(&call).await?)?)
    }
}

fn bytes_of(pair: &KeyValue) -> usize {
    pair.key.len() + pair.value.len()
}

/// Pairs of the next page, after so many with so many bytes.
fn next_limit(pairs: usize, bytes: usize) -> usize {
    let average = bytes.div_ceil(pairs.max(1)).max(1);
    (PAGE_BYTES / average).clamp(1, LARGEST_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_many_small_pairs_or_few_large_ones() {
        assert_eq!(next_limit(16, 16 * 100), 1000);
        assert_eq!(next_limit(16, 16 * (64 << 10)), 16);
        assert_eq!(next_limit(16, 16 * (1536 << 10)), 1);
        assert_eq!(next_limit(0, 0), 1000);
    }
}
