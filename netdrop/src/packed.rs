//! What the binary carries packed, by `build.rs`: it is unpacked when it is asked for, in less than a millisecond.

/// The packed file of that name.
macro_rules! packed {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".zst"))
    };
}
pub(crate) use packed;

/// Its bytes.
pub fn bytes(packed: &[u8]) -> Vec<u8> {
    zstd::decode_all(packed).expect("build.rs has packed it")
}

/// Its text, kept for good.
pub fn text(packed: &[u8]) -> &'static str {
    String::from_utf8(bytes(packed)).expect("the packed files of text are UTF-8").leak()
}
