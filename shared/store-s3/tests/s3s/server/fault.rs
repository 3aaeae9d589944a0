//! What goes wrong between the client and what the server keeps.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Barrier;

use super::{Bucket, Kind};

/// What somebody else does.
pub type Deed = Box<dyn Fn(&mut Bucket) + Send + Sync>;

/// What goes wrong with a request.
pub enum Fault {
    /// It is answered with this status, S3's word for it, and these headers; nothing else comes of it.
    Answer(u16, &'static str, Vec<(&'static str, &'static str)>),
    /// It is refused with this status and S3's word for it, and its message quotes the headers that are secret; nothing else
    /// comes of it.
    Quote(u16, &'static str),
    /// It is answered with 200 and this document; nothing else comes of it.
    Document(String),
    /// The connection is dropped; nothing else comes of it.
    Drop,
    /// It is done, and the connection is dropped instead of an answer.
    LoseAnswer,
    /// The answer's body breaks off after so many bytes.
    Cut(usize),
    /// The answer lacks this header.
    Without(&'static str),
    /// This happens just before.
    Before(Deed),
    /// It is held for so long, in which others may come.
    Hold(Duration),
    /// It waits until as many requests have come.
    Meet(Barrier),
}

struct Rule {
    kind: Kind,
    which: Range<usize>,
    came: usize,
    fault: Arc<Fault>,
}

/// All faults that are set.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Rule>>);

impl Faults {
    pub fn add(&self, kind: Kind, which: Range<usize>, fault: Fault) {
        let rule = Rule { kind, which, came: 0, fault: Arc::new(fault) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// What a request of this kind meets.
    pub fn of(&self, kind: Kind) -> Vec<Arc<Fault>> {
        let mut faults = Vec::new();
        for rule in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().filter(|rule| rule.kind == kind) {
            if rule.which.contains(&rule.came) {
                faults.push(rule.fault.clone());
            }
            rule.came += 1;
        }
        faults
    }
}
