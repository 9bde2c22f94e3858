//! Where the server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// `127.0.0.1:13767`, `[::1]:13767`; port 0 lets the kernel choose one.
    Tcp(SocketAddr),
    /// `unix:/run/netdrop/http.sock`
    Unix(PathBuf),
}

/// No address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address to listen on: write an IP address and a port (127.0.0.1:13767, [::1]:13767) or unix:/PATH"
)]
pub struct NoAddress(String);

impl Address {
    /// Whether others than this machine's processes can connect.
    pub fn is_beyond_loopback(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().to_canonical().is_loopback())
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Some(PathBuf::from(path))
                .filter(|path| path.is_absolute())
                .map(Self::Unix)
                .ok_or_else(|| NoAddress(text.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| NoAddress(text.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = NoAddress;

    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.1:13767", false)]
    #[case("127.8.0.1:1", false)]
    #[case("[::1]:13767", false)]
    #[case("[::ffff:127.0.0.1]:13767", false)]
    #[case("unix:/run/netdrop/http.sock", false)]
    #[case("0.0.0.0:13767", true)]
    #[case("[::]:13767", true)]
    #[case("192.0.2.1:13767", true)]
    #[case("[::ffff:192.0.2.1]:13767", true)]
    fn who_can_connect(#[case] text: &str, #[case] beyond: bool) {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.is_beyond_loopback(), beyond);
        assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
    }

    #[rstest]
    #[case("")]
    #[case("13767")]
    #[case("127.0.0.1")]
    #[case("localhost:13767")]
    #[case("unix:")]
    #[case("unix:http.sock")]
    #[case("127.0.0.1:70000")]
    fn what_is_none(#[case] text: &str) {
        let error = text.parse::<Address>().unwrap_err().to_string();
        assert!(error.contains(&format!("`{text}`")) && error.contains("unix:/PATH"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in any::<String>()) {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
