//! TCP signatures: MD5 (RFC 2385) and the authentication option (RFC 5925), missing, unwanted, wrong.

use std::net::TcpListener;
use std::os::fd::AsRawFd;

use anyhow::Result;

use super::shape::{ETHER_V4, V4, only_where_known};
use super::tcp::{SERVER_PORT, SYN, TCP};
use crate::lab::{Lab, RECEIVER, SENDER, Skip};
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{PacketSocket, Tcp};

/// Kind 19, 18 bytes; two no-operations fill the word.
const MD5: [u8; 20] = [1, 1, 19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Kind 29, 16 bytes: key 100, the next one too, 12 bytes of code.
const AO: [u8; 16] = [29, 16, KEY, KEY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const KEY: u8 = 100;
const OTHER_KEY: u8 = 101;

/// What the listener asks of its peer.
#[derive(Clone, Copy)]
enum Wants {
    Nothing,
    Md5,
    Ao,
}

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "tcp-md5-signature-missing",
            prepare: |count| syn(Wants::Md5, &[], count),
            expect: Expect { reasons: &["TCP_MD5NOTFOUND", "NOT_SPECIFIED"], ..TCP },
        },
        Scenario {
            name: "tcp-md5-signature-unwanted",
            prepare: |count| syn(Wants::Nothing, &MD5, count),
            expect: Expect { reasons: &["TCP_MD5UNEXPECTED", "NOT_SPECIFIED"], ..TCP },
        },
        Scenario {
            name: "tcp-md5-signature-wrong",
            prepare: |count| syn(Wants::Md5, &MD5, count),
            expect: Expect { reasons: &["TCP_MD5FAILURE", "NOT_SPECIFIED"], ..TCP },
        },
        // Kernels that don't know the reason take the last of the two.
        Scenario {
            name: "tcp-md5-signature-twice",
            prepare: |count| syn(Wants::Nothing, &[MD5, MD5].concat(), count),
            expect: Expect { reasons: &["TCP_AUTH_HDR", "TCP_MD5UNEXPECTED", "NOT_SPECIFIED"], ..TCP },
        },
        Scenario {
            name: "tcp-ao-missing",
            prepare: |count| syn(Wants::Ao, &[], count),
            expect: Expect { reasons: &["TCP_AONOTFOUND"], ..TCP },
        },
        Scenario {
            name: "tcp-ao-unwanted",
            prepare: |count| {
                ao_key(&TcpListener::bind("127.0.0.1:0")?)?;
                syn(Wants::Nothing, &AO, count)
            },
            expect: Expect { reasons: &["TCP_AOUNEXPECTED"], ..TCP },
        },
        Scenario {
            name: "tcp-ao-unknown-key",
            prepare: |count| {
                let mut option = AO;
                option[2] = OTHER_KEY;
                syn(Wants::Ao, &option, count)
            },
            expect: Expect { reasons: &["TCP_AOKEYNOTFOUND"], ..TCP },
        },
        Scenario {
            name: "tcp-ao-wrong-code",
            prepare: |count| syn(Wants::Ao, &AO, count),
            expect: Expect { reasons: &["TCP_AOFAILURE"], ..TCP },
        },
    ]
}

/// SYNs with these options to a listener.
fn syn(wants: Wants, options: &[u8], count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
    match wants {
        Wants::Nothing => {}
        Wants::Md5 => md5_key(&listener)?,
        Wants::Ao => ao_key(&listener)?,
    }
    let packet = Tcp { destination: SERVER_PORT, ..SYN }.packet_with(options, &V4, b"");
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    Stage::new(lab, move |_| {
        let _open = &listener;
        socket.repeat(&ETHER_V4.wrap(&packet), count)
    })
}

/// `struct tcp_md5sig` of linux/tcp.h: address (128 bytes), flags, prefix length, key length, index, key (80).
fn md5_key(listener: &TcpListener) -> Result<()> {
    const TCP_MD5SIG: libc::c_int = 14;
    let mut signature = [0u8; 216];
    signature[0..2].copy_from_slice(&u16::try_from(libc::AF_INET)?.to_ne_bytes());
    signature[4..8].copy_from_slice(&SENDER.v4.octets());
    signature[130..132].copy_from_slice(&4u16.to_ne_bytes());
    signature[136..140].copy_from_slice(b"test");
    set_tcp_option(listener, TCP_MD5SIG, &signature, "MD5 signatures")
}

/// `struct tcp_ao_add` of linux/tcp.h: address (128 bytes), algorithm (64), interface, flags, reserved, prefix length,
/// ids to send and to receive, length of the code, flags of the key, its length, the key (80).
fn ao_key(listener: &TcpListener) -> Result<()> {
    const TCP_AO_ADD_KEY: libc::c_int = 38;
    only_where_known("TCP_AONOTFOUND", "it has no authentication option")?;
    let mut key = [0u8; 288];
    key[0..2].copy_from_slice(&u16::try_from(libc::AF_INET)?.to_ne_bytes());
    key[4..8].copy_from_slice(&SENDER.v4.octets());
    key[128..138].copy_from_slice(b"hmac(sha1)");
    key[202..208].copy_from_slice(&[32, KEY, KEY, 12, 0, 4]);
    key[208..212].copy_from_slice(b"test");
    set_tcp_option(listener, TCP_AO_ADD_KEY, &key, "authentication option")
}

fn set_tcp_option(listener: &TcpListener, name: libc::c_int, value: &[u8], what: &str) -> Result<()> {
    let length = u32::try_from(value.len())?;
    // SAFETY: pointer and length are those of the slice.
    let result = unsafe {
        libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, name, value.as_ptr().cast(), length)
    };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        return Err(Skip(format!("no TCP {what} here: {error}")).into());
    }
    Ok(())
}
