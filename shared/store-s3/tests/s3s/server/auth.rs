//! The keys that the server knows.

use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use super::KEY;

pub struct Keys;

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, key: &str) -> S3Result<SecretKey> {
        if key == KEY[0] { Ok(KEY[1].into()) } else { Err(s3_error!(InvalidAccessKeyId)) }
    }
}
