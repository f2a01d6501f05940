//! Compression of what leaves (RFC 1952), on a thread of the pool: it takes milliseconds.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// The text, compressed at `level` 0 to 9.
pub(super) async fn gzip(text: String, level: u32) -> std::io::Result<Vec<u8>> {
    let work = move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level.min(9)));
        encoder.write_all(text.as_bytes())?;
        encoder.finish()
    };
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
