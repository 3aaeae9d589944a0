//! In what servers of S3 differ.

/// What a server makes of `If-None-Match: *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOnly {
    /// Honoured on a PUT and on the completion of an upload: AWS, Ceph 20.
    Both,
    /// Honoured on a PUT, passed over on a completion: Ceph 16.
    PutOnly,
    /// Passed over: Garage.
    Ignored,
    /// Answered with 501: Swift.
    Refused,
}

/// What a server makes of a batch of deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batches {
    /// It does them, and says so of each name.
    Named,
    /// It does them, and says nothing of what went well.
    Silent,
    /// It has none, and answers with this status.
    Refused(u16),
}

/// One server.
#[derive(Clone, Debug)]
pub struct Options {
    pub create_only: CreateOnly,
    pub batches: Batches,
    /// Whether `list-type=2` is known; else a list is the first version's, whatever was asked for.
    pub lists_v2: bool,
    /// Whether `encoding-type=url` is known.
    pub encodes: bool,
    /// The most entries of a list's page.
    pub page: usize,
    /// Whether the answer to a completion begins, with 200, before it is known what comes of it.
    pub early: bool,
    /// Whether `Range` is known.
    pub ranges: bool,
    /// Whether `If-Match` is known.
    pub if_match: bool,
    /// Whether an object keeps the storage class that was asked for.
    pub classes: bool,
    /// Whether it encrypts as it is asked to, and says so.
    pub encrypts: bool,
    /// Whether objects may be removed; where a lock was asked for, they may not.
    pub locks: bool,
    /// The only region that may be signed for, where it matters.
    pub region: Option<&'static str>,
    /// How far the server's clock is ahead, in seconds.
    pub ahead: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create_only: CreateOnly::Both,
            batches: Batches::Named,
            lists_v2: true,
            encodes: true,
            page: 1000,
            early: false,
            ranges: true,
            if_match: true,
            classes: true,
            encrypts: true,
            locks: false,
            region: None,
            ahead: 0,
        }
    }
}
