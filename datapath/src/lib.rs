//! Not built yet.
#[deny(missing_docs)]
pub mod dtls_openssl;
