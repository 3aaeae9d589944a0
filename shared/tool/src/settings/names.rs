//! The names there are, and what becomes of each.

/// What becomes of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has its effect here.
    Known,
    /// It has its effect here and is never shown.
    Secret,
    /// wal-g knows it; here it would change speed, logs or another database only: one warning.
    Idle,
    /// wal-g knows it, and to ignore it would change what is stored, where, or how protected: 78.
    Refused,
    /// Nobody knows it.
    Unknown,
}

/// A name that has its effect here.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The name of the environment variable and of the key in the file.
    pub name: &'static str,
    /// What holds where nobody sets it; empty for nothing.
    pub default: &'static str,
    /// What it means, for `walpipe config`.
    pub about: &'static str,
}

const fn n(name: &'static str, default: &'static str, about: &'static str) -> Name {
    Name { name, default, about }
}

/// Settings that people set.  Defaults are WAL-G's (spec/layout.md §11) unless `about` says so.
const SETTINGS: &[Name] = &[
    n("WALG_FILE_PREFIX", "", "the repository, a directory"),
    n("WALE_FILE_PREFIX", "", "the same, by its older name"),
    n("WALG_S3_PREFIX", "", "the repository, s3://bucket/path; it counts before a directory"),
    n("WALE_S3_PREFIX", "", "the same, by its older name"),
    n("WALG_STORAGE_PREFIX", "", "a folder below the repository's prefix"),
    n("WALG_COMPRESSION_METHOD", "lz4", "how objects are compressed: lz4, none"),
    n("WALG_TAR_SIZE_THRESHOLD", "1073741823", "bytes of files after which a part is closed"),
    n("WALG_UPLOAD_DISK_CONCURRENCY", "", "parts made side by side (unset: the number of cores, at most 4)"),
    n("WALG_UPLOAD_CONCURRENCY", "16", "uploads in flight over a whole command"),
    n("WALG_DOWNLOAD_CONCURRENCY", "10", "parts restored side by side, at most (and at most two a core)"),
    n("WALG_DISK_RATE_LIMIT", "", "bytes a second read from the data directory"),
    n("WALG_NETWORK_RATE_LIMIT", "", "bytes a second written to or read from the store"),
    n("WALG_VERIFY_PAGE_CHECKSUMS", "true", "check page checksums while reading (WAL-G: false)"),
    n("WALG_STORE_ALL_CORRUPT_BLOCKS", "false", "list every corrupt block in the metadata, not the first ten"),
    n("WALG_WITHOUT_FILES_METADATA", "false", "write no list of files"),
    n("WALG_SENTINEL_USER_DATA", "", "JSON to keep with a backup"),
    n(
        "WALG_PREVENT_WAL_OVERWRITE",
        "true",
        "always so here, whatever is set: other content under an existing name is refused",
    ),
    n("WALG_TAR_DISABLE_FSYNC", "false", "restore without making files durable"),
    n("WALG_PG_WAL_SIZE", "", "MiB of a WAL segment, for wal-g; walpipe finds it out"),
    n(
        "WALG_ALIVE_CHECK_INTERVAL",
        "10s",
        "how often a backup's server is asked whether it lives; 0: never (WAL-G: 1m)",
    ),
    n("WALG_STOP_BACKUP_TIMEOUT", "", "how long the stop of a backup may take, as 30s or 10m (unset or 0: for ever)"),
    n("WALG_DELTA_MAX_STEPS", "0", "deltas in a chain (no deltas yet: full backups, and a note)"),
    n("AWS_ENDPOINT", "", "the S3 server, as https://host:port (unset: AWS)"),
    n("AWS_REGION", "", "the bucket's region (unset: it is found out)"),
    n("AWS_S3_FORCE_PATH_STYLE", "false", "the bucket in the path of a URL, not in the host's name"),
    n("AWS_ACCESS_KEY_ID", "", "the key that requests to S3 are signed with"),
    n("AWS_PROFILE", "", "the profile of ~/.aws/config and ~/.aws/credentials to use"),
    n("WALG_S3_CA_CERT_FILE", "", "certificate authorities to trust instead of the system's"),
    n("WALG_S3_STORAGE_CLASS", "STANDARD", "the storage class of objects"),
    n("WALG_S3_SSE", "", "encryption by the server: AES256 or aws:kms"),
    n("WALG_S3_SSE_KMS_ID", "", "the key of aws:kms"),
    n("WALG_S3_MAX_PART_SIZE", "20971520", "bytes of a part of a multipart upload"),
    n("S3_MAX_RETRIES", "15", "how often a request to S3 is tried again"),
    n("S3_RANGE_MAX_RETRIES", "10", "how often a download is taken up again without a byte in between"),
    n("S3_RETENTION_PERIOD", "", "seconds for which objects are locked"),
    n("S3_RETENTION_MODE", "", "how they are locked: GOVERNANCE (the default) or COMPLIANCE"),
    n("S3_USE_LIST_OBJECTS_V1", "false", "list in the way of the first version"),
    n("WALPIPE_S3_TIMEOUT", "60", "seconds without progress after which a request to S3 is given up"),
    n("WALPIPE_S3_TAGS", "", "tags of objects, as k=v&k2=v2, encoded as in a URL"),
    n("WALPIPE_S3_METADATA", "", "metadata of objects, as name=value,name=value"),
    n("WALPIPE_S3_REQUESTER_PAYS", "false", "the requester pays for requests to S3"),
    n("WALPIPE_S3_UNSIGNED_PAYLOAD", "false", "over TLS payloads are sent with Content-MD5 and are not signed"),
    n("WALPIPE_S3_CREATE_ONLY", "unknown", "what the server does with If-None-Match: unknown, no, put or complete"),
    n("WALG_CONFIG_PATH", "", "the configuration file"),
    n("WALPIPE_ARCHIVE_TIMEOUT", "300", "seconds to wait for WAL to reach the repository"),
    n("WALPIPE_CORRUPT_PAGES", "warn", "what a corrupt page does to a backup: warn or fail"),
    n("WALPIPE_PROGRESS", "auto", "how progress is shown: auto, bar, lines, none"),
];

/// Settings that are whole numbers; all but the timeouts are 1 at least.
const NUMBERS: &[&str] = &[
    "WALG_TAR_SIZE_THRESHOLD",
    "WALG_UPLOAD_DISK_CONCURRENCY",
    "WALG_UPLOAD_CONCURRENCY",
    "WALG_DOWNLOAD_CONCURRENCY",
    "WALG_DISK_RATE_LIMIT",
    "WALG_NETWORK_RATE_LIMIT",
    "WALG_PG_WAL_SIZE",
    "WALG_S3_MAX_PART_SIZE",
    "S3_RETENTION_PERIOD",
    "WALPIPE_S3_TIMEOUT",
];
const NUMBERS_OR_ZERO: &[&str] =
    &["S3_MAX_RETRIES", "S3_RANGE_MAX_RETRIES", "WALG_DELTA_MAX_STEPS", "WALPIPE_ARCHIVE_TIMEOUT"];

/// Settings that are true or false.
const FLAGS: &[&str] = &[
    "WALG_VERIFY_PAGE_CHECKSUMS",
    "WALG_STORE_ALL_CORRUPT_BLOCKS",
    "WALG_WITHOUT_FILES_METADATA",
    "WALG_PREVENT_WAL_OVERWRITE",
    "WALG_TAR_DISABLE_FSYNC",
    "AWS_S3_FORCE_PATH_STYLE",
    "S3_USE_LIST_OBJECTS_V1",
    "WALPIPE_S3_REQUESTER_PAYS",
    "WALPIPE_S3_UNSIGNED_PAYLOAD",
];

/// Settings that are one of some words.
const CHOICES: &[(&str, &[&str])] = &[
    ("WALPIPE_CORRUPT_PAGES", &["warn", "fail"]),
    ("WALPIPE_PROGRESS", &["auto", "bar", "lines", "none"]),
    ("WALPIPE_S3_CREATE_ONLY", &["unknown", "no", "put", "complete"]),
    ("WALG_S3_SSE", &["AES256", "aws:kms"]),
    ("S3_RETENTION_MODE", &["GOVERNANCE", "COMPLIANCE"]),
];

/// What the value of `name` would have to be; `None` if it is that.
pub(super) fn misfit(name: &str, value: &str) -> Option<String> {
    let name = plain(name);
    let number = value.trim().parse::<u64>();
    let choices = CHOICES.iter().find(|(choice, _)| *choice == name).map(|(_, words)| *words);
    if NUMBERS.contains(&name) && !number.as_ref().is_ok_and(|n| *n > 0) {
        Some("a whole number, 1 at least".to_owned())
    } else if NUMBERS_OR_ZERO.contains(&name) && number.is_err() {
        Some("a whole number".to_owned())
    } else if FLAGS.contains(&name) && truth(value).is_none() {
        Some("true or false".to_owned())
    } else {
        choices.filter(|words| !words.contains(&value)).map(|words| format!("one of {}", words.join(", ")))
    }
}

/// What a text says of yes or no.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "false" | "0" | "f" | "no" | "off" => Some(false),
        "true" | "1" | "t" | "yes" | "on" => Some(true),
        _ => None,
    }
}

/// Variables by which walpipe's programs speak to each other and tests speak to them; never in a file.
const INTERNAL: &[&str] = &[
    "WALPIPE_BACKUP",
    "WALPIPE_BELOW",
    "WALPIPE_CHAIN",
    "WALPIPE_COMMAND",
    "WALPIPE_EXEC_PATH",
    "WALPIPE_LIMIT_DISK",
    "WALPIPE_LIMIT_NET",
    "WALPIPE_PARENT",
    "WALPIPE_READER",
    "WALPIPE_SHARED",
    "WALPIPE_SNAPSHOT",
    "WALPIPE_THREADS",
    "WALPIPE_TURBO",
    "WALPIPE_UPLOAD_SHARE",
];

/// libpq's, for the session of a backup.
const LIBPQ: &[&str] = &[
    "PGAPPNAME",
    "PGCONNECT_TIMEOUT",
    "PGDATA",
    "PGDATABASE",
    "PGHOST",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPORT",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSYSCONFDIR",
    "PGUSER",
];

/// AWS's own, where keys for S3 are looked for; none of these is a secret.
const AWS: &[&str] = &[
    "AWS_ACCESS_KEY",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

const SECRETS: &[&str] = &[
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "WALG_S3_SSE_C",
];

/// WAL-G's settings of S3 that depend on nothing here: downloads always go on where they broke off, pauses are ours.
const S3_IDLE: &[&str] = &[
    "S3_DISABLE_100_CONTINUE",
    "S3_ENABLE_VERSIONING",
    "S3_LOG_LEVEL",
    "S3_MAX_THROTTLING_RETRY_DELAY",
    "S3_MIN_THROTTLING_RETRY_DELAY",
    "S3_RANGE_BATCH_ENABLED",
    "S3_SKIP_VALIDATION",
];

/// WAL-G's settings of S3 that would change where or how objects are stored.
const S3_REFUSED: &[&str] =
    &["S3_ENDPOINT_PORT", "S3_ENDPOINT_SOURCE", "S3_REQUEST_ADDITIONAL_HEADERS", "S3_USE_YC_SESSION_TOKEN"];

/// Protection that is not there yet: never plaintext where somebody asked for a cipher.
const CIPHERS: &[&str] = &[
    "GPG_KEY_ID",
    "WALE_GPG_KEY_ID",
    "WALG_CSE_KMS_ID",
    "WALG_CSE_KMS_REGION",
    "WALG_GPG_KEY_ID",
    "WALG_LIBSODIUM_KEY",
    "WALG_LIBSODIUM_KEY_PATH",
    "WALG_LIBSODIUM_KEY_TRANSFORM",
    "WALG_PGP_KEY",
    "WALG_PGP_KEY_PASSPHRASE",
    "WALG_PGP_KEY_PATH",
    "YC_CSE_KMS_KEY_ID",
    "YC_SERVICE_ACCOUNT_KEY_FILE",
];

/// Places that cannot be served yet.
const PLACES: &[&str] = &[
    "WALE_AZ_PREFIX",
    "WALE_GS_PREFIX",
    "WALE_OSS_PREFIX",
    "WALE_SSH_PREFIX",
    "WALE_SWIFT_PREFIX",
    "WALG_AZ_PREFIX",
    "WALG_FAILOVER_STORAGES",
    "WALG_GS_PREFIX",
    "WALG_OSS_PREFIX",
    "WALG_SSH_PREFIX",
    "WALG_SWIFT_PREFIX",
    "WALG_TARGET_STORAGE",
];

/// Other contents of the repository.
const CONTENTS: &[&str] = &["WALG_UPLOAD_WAL_METADATA", "WALG_ZSTD_LEVEL", "WALG_BROTLI_QUALITY"];

/// Prefixes of names of one store each.
const PLACE_PREFIXES: &[&str] =
    &["WALG_AZURE_", "WALG_AZ_", "WALG_ENVELOPE_", "WALG_GS_", "WALG_OSS_", "WALG_SSH_", "WALG_SWIFT_"];

/// What wal-g has and nothing here depends on: speed, logs, metrics.
const IDLE: &[&str] = &[
    "WALE_LOG_DESTINATION",
    "WALG_DAEMON_WAL_UPLOAD_TIMEOUT",
    "WALG_DELTA_FROM_NAME",
    "WALG_DELTA_FROM_USER_DATA",
    "WALG_DELTA_ORIGIN",
    "WALG_DIRECT_IO",
    "WALG_DIRECT_IO_BLOCK_COUNT",
    "WALG_DISABLE_PARTIAL_RESTORE",
    "WALG_DOWNLOAD_FILE_RETRIES",
    "WALG_FORCE_WAL_DELTA",
    "WALG_INTEGRITY_MAX_DELAYED_WALS",
    "WALG_LOG_DESTINATION",
    "WALG_LOG_LEVEL",
    "WALG_PG_BLOCK_SIZE",
    "WALG_PG_WAL_PAGE_SIZE",
    "WALG_PREFETCH_DIR",
    "WALG_SERIALIZER_TYPE",
    "WALG_SKIP_REDUNDANT_TARS",
    "WALG_SLOTNAME",
    "WALG_STATSD_ADDRESS",
    "WALG_STATSD_EXTRA_TAGS",
    "WALG_UPLOAD_QUEUE",
    "WALG_USE_COPY_COMPOSER",
    "WALG_USE_DATABASE_COMPOSER",
    "WALG_USE_RATING_COMPOSER",
    "WALG_USE_REVERSE_UNPACK",
    "WALG_USE_WAL_DELTA",
];

/// Prefixes of names that are idle here, those of other databases among them.
const IDLE_PREFIXES: &[&str] = &[
    "WALG_CLICKHOUSE_",
    "WALG_ETCD_",
    "WALG_FDB_",
    "WALG_GP_",
    "WALG_GPFDIST_",
    "WALG_HTTP_",
    "WALG_MONGO",
    "WALG_MYSQL_",
    "WALG_PPROF_",
    "WALG_PROFILE_",
    "WALG_PROFILING_",
    "WALG_REDIS_",
    "WALG_SQLSERVER_",
    "WALG_STREAM_",
];

/// The name by which a setting of S3 stands in these lists: it may be given as `WALG_S3_X`, `WALE_S3_X` and `S3_X`.
fn plain(name: &str) -> &str {
    let s3 = |name: &&str| name.starts_with("S3_");
    let bare = ["WALG_", "WALE_"].iter().find_map(|prefix| name.strip_prefix(prefix)).filter(s3).unwrap_or(name);
    let listed = |wanted: &str| SETTINGS.iter().map(|s| s.name).chain(SECRETS.iter().copied()).find(|n| *n == wanted);
    if bare == "S3_PREFIX" || !bare.starts_with("S3_") {
        return name;
    }
    listed(&format!("WALG_{bare}")).or_else(|| listed(bare)).unwrap_or(bare)
}

/// What becomes of `name`.
#[must_use]
pub fn kind_of(name: &str) -> Kind {
    let name = plain(name);
    if SETTINGS.iter().any(|s| s.name == name)
        || INTERNAL.contains(&name)
        || LIBPQ.contains(&name)
        || AWS.contains(&name)
        || name.starts_with("WALPIPE_TEST_")
    {
        Kind::Known
    } else if SECRETS.contains(&name) {
        Kind::Secret
    } else if [CIPHERS, PLACES, CONTENTS, S3_REFUSED].iter().any(|list| list.contains(&name)) {
        Kind::Refused
    } else if IDLE.contains(&name) || S3_IDLE.contains(&name) || IDLE_PREFIXES.iter().any(|p| name.starts_with(p)) {
        Kind::Idle
    } else if PLACE_PREFIXES.iter().any(|p| name.starts_with(p)) {
        Kind::Refused
    } else {
        Kind::Unknown
    }
}

/// Whether the name is one by which walpipe's programs speak to each other.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Whether the name is WAL-G's, WAL-E's or ours by its beginning.
pub(super) fn has_our_prefix(name: &str) -> bool {
    ["WALG_", "WALE_", "WALPIPE_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether this value of a refused name asks for nothing.
pub(super) fn harmless(name: &str, value: &str) -> bool {
    name == "WALG_UPLOAD_WAL_METADATA" && value == "NOMETADATA"
}

/// What a refused name would have changed.
pub(super) fn why_refused(name: &str) -> String {
    let what = if CIPHERS.contains(&name) || name.starts_with("WALG_ENVELOPE_") {
        "It asks for encryption, which this version does not have yet; nothing is stored or read as plaintext instead."
    } else if CONTENTS.contains(&name) {
        "It would change what is stored, which this version cannot do yet."
    } else if S3_REFUSED.contains(&plain(name)) {
        "It would change which server is asked, or how; AWS_ENDPOINT and the usual credentials name both."
    } else {
        "It names a store that this version cannot reach yet."
    };
    what.to_owned()
}

/// The default of a setting, where it has one.
pub(super) fn default_of(name: &str) -> Option<String> {
    SETTINGS.iter().find(|s| s.name == name && !s.default.is_empty()).map(|s| s.default.to_owned())
}

/// The settings that people set, with defaults and meanings, in the order of the manual.
#[must_use]
pub fn all() -> &'static [Name] {
    SETTINGS
}

/// The known name that `name` most resembles, if one is near enough to be a slip of the pen.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let lists = [CIPHERS, PLACES, CONTENTS, IDLE, AWS, SECRETS];
    nearest_of(name, SETTINGS.iter().map(|s| s.name).chain(lists.into_iter().flatten().copied()))
}

/// That of `names` which `word` most resembles, if it is near enough to be a slip of the pen.
pub fn nearest_of<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = 2.max(word.len() / 4);
    names.map(|name| (distance(word, name), name)).min().filter(|(d, _)| *d <= near).map(|(_, name)| name)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let best = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        assert_eq!(nearest("WALG_COMPRESION_METHOD"), Some("WALG_COMPRESSION_METHOD"));
        assert_eq!(nearest("WALPIPE_ZZZZZZZZZZZZZZZZZZZ"), None);
    }

    #[test]
    fn a_cipher_is_refused_and_a_metric_is_idle() {
        assert_eq!(kind_of("WALG_LIBSODIUM_KEY"), Kind::Refused);
        assert_eq!(kind_of("WALG_STATSD_ADDRESS"), Kind::Idle);
        assert_eq!(kind_of("WALG_MYSQL_DATASOURCE_NAME"), Kind::Idle);
        assert_eq!(kind_of("WALG_SWIFT_PREFIX"), Kind::Refused);
        assert_eq!(kind_of("WALG_NO_SUCH"), Kind::Unknown);
    }

    #[test]
    fn a_setting_of_s3_has_three_names() {
        for prefix in ["WALG_S3_", "WALE_S3_", "S3_"] {
            let kind = |name: &str| kind_of(&format!("{prefix}{name}"));
            assert_eq!((kind("SSE"), kind("MAX_RETRIES")), (Kind::Known, Kind::Known));
            assert_eq!((kind("SSE_C"), kind("LOG_LEVEL")), (Kind::Secret, Kind::Idle));
            assert_eq!(kind("ENDPOINT_SOURCE"), Kind::Refused);
        }
        assert_eq!(kind_of("WALG_S3_SSEE"), Kind::Unknown);
        assert!(misfit("S3_MAX_PART_SIZE", "x").is_some());
    }
}
