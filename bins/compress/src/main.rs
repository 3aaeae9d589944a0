//! compress or decompress one stream
fn main() {}
