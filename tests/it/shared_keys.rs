//! Keys for session ids that the nodes of a fleet share, on a store in memory.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use switchback::{
    seal::{Content, KeyRing, Label, Sealed},
    server::FleetKeys,
    shared_table::{Expected, Lifetime, SharedDocuments as _, Write, Written},
};
use tempfile::TempDir;

use crate::{
    memory_store::{Content as Stored, MemoryStore},
    support::write,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const NAME: &str = "keys/sessions";

type Store = Arc<Mutex<Stored>>;

/// A node with its ring and its folder.
struct Node {
    keys: FleetKeys,
    ring: Arc<KeyRing>,
    store: Arc<MemoryStore>,
}

impl Node {
    /// A node whose own key is made of a letter.
    fn open(folder: &Path, letter: char, content: &Store) -> Self {
        let own = letter.to_string().repeat(40);
        write(folder.join("seal.key"), &own);
        let ring = Arc::new(KeyRing::new(&[&own]).unwrap().unwrap());
        let store = Arc::new(MemoryStore {
            content: Arc::clone(content),
            node: letter.to_string(),
            ..MemoryStore::default()
        });
        let keys = FleetKeys::open(Arc::clone(&store) as _, Arc::clone(&ring), folder, AGE);
        let keys = keys.unwrap();
        Self { keys, ring, store }
    }

    async fn look(&self) {
        self.keys.look().await.unwrap();
    }

    fn seal(&self) -> Sealed {
        self.ring.seal(&Label::pin_header("x-id"), b"id").unwrap()
    }

    fn opens(&self, sealed: &Sealed) -> bool {
        let mut content = Content::default();
        let label = Label::pin_header("x-id");
        self.ring.open(&label, sealed, &mut content) == Ok(&b"id"[..])
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The keys in the store, and their number.
fn stored(content: &Store) -> (String, usize) {
    let content = content.lock().unwrap();
    let text = String::from_utf8(content.documents[NAME].value.clone()).unwrap();
    let count = text.matches("secret").count();
    (text, count)
}

#[tokio::test]
async fn what_one_node_seals_every_other_opens_and_what_was_sealed_before_too() {
    let (content, folders) = (Store::default(), [folder(), folder()]);
    let a = Node::open(folders[0].path(), 'a', &content);
    let before = a.seal();
    a.look().await;
    let b = Node::open(folders[1].path(), 'b', &content);
    let own = b.seal();
    assert!(!b.opens(&before) && !a.opens(&own));
    b.look().await;
    assert!(b.opens(&before) && b.opens(&own), "its own opens as well");
    assert!(a.opens(&b.seal()) && b.opens(&a.seal()));
    assert_eq!(stored(&content).1, 1);
}

#[tokio::test]
async fn a_key_whose_answer_was_lost_is_the_one_key() {
    let (content, folders) = (Store::default(), [folder(), folder()]);
    let a = Node::open(folders[0].path(), 'a', &content);
    a.store.loses_answer.store(true, Ordering::Release);
    assert!(a.keys.look().await.is_err());
    let b = Node::open(folders[1].path(), 'b', &content);
    b.look().await;
    a.look().await;
    assert_eq!(stored(&content).1, 1);
    assert!(a.opens(&b.seal()) && b.opens(&a.seal()));
}

#[tokio::test]
async fn a_start_without_the_store_has_the_keys_that_it_had() {
    let (content, folders) = (Store::default(), [folder(), folder()]);
    let a = Node::open(folders[0].path(), 'a', &content);
    a.look().await;
    let b = Node::open(folders[1].path(), 'b', &content);
    b.look().await;
    let again = Node::open(folders[1].path(), 'b', &Store::default());
    again.store.is_cut.store(true, Ordering::Release);
    assert!(again.keys.look().await.is_err());
    assert!(again.opens(&a.seal()) && a.opens(&again.seal()));
    let never = folder();
    let never = Node::open(never.path(), 'c', &Store::default());
    assert!(
        never.opens(&never.seal()),
        "its own key seals until it has those of the fleet"
    );
}

#[tokio::test]
async fn an_old_key_gets_a_successor_on_all_nodes_and_goes_on_to_open() {
    let (content, folders) = (Store::default(), [folder(), folder()]);
    let [a, b] =
        [('a', 0), ('b', 1)].map(|(letter, at)| Node::open(folders[at].path(), letter, &content));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let old_enough = now.checked_sub(AGE).unwrap();
    let key = |made: Duration| {
        let (secret, made) = ("o".repeat(40), made.as_secs());
        format!(r#"{{"keys":[{{"secret":"{secret}","made":{made}}}]}}"#).into_bytes()
    };
    let keys = |value| Write {
        name: NAME.to_owned(),
        value,
        lifetime: Lifetime::Kept,
        expected: Expected::Anything,
    };
    let written = a.store.write(keys(key(old_enough + DAY))).await.unwrap();
    assert!(matches!(written, Written::Done(_)));
    a.look().await;
    b.look().await;
    assert_eq!(stored(&content).1, 1, "it is not old enough");
    let old = a.seal();
    a.store.write(keys(key(old_enough))).await.unwrap();
    let (one, other) = tokio::join!(a.keys.look(), b.keys.look());
    assert!(one.is_ok() && other.is_ok());
    a.look().await;
    assert_eq!(stored(&content).1, 2, "one of the two has made it");
    assert!(a.opens(&old) && b.opens(&old));
    assert_eq!(&*a.seal(), &*old, "the new one seals when all have it");
    // An hour later.
    let (text, _) = stored(&content);
    let made = now.as_secs();
    let later = |at: u64| format!("\"made\":{at}");
    let is_new = |at: &u64| text.contains(&later(*at));
    let at = (made..made + 60).find(is_new).unwrap();
    let text = text.replace(&later(at), &later(at - 3_600));
    a.store.write(keys(text.into_bytes())).await.unwrap();
    a.look().await;
    b.look().await;
    assert_ne!(&*a.seal(), &*old);
    assert!(b.opens(&a.seal()) && b.opens(&old));
}

#[tokio::test]
async fn keys_of_a_form_that_is_not_known_change_nothing() {
    let (content, folder) = (Store::default(), folder());
    let a = Node::open(folder.path(), 'a', &content);
    a.look().await;
    let sealed = a.seal();
    let write = Write {
        name: NAME.to_owned(),
        value: b"{\"later\":1}".to_vec(),
        lifetime: Lifetime::Kept,
        expected: Expected::Anything,
    };
    a.store.write(write).await.unwrap();
    a.look().await;
    assert!(a.opens(&sealed));
    assert_eq!(stored(&content).0, "{\"later\":1}");
}
