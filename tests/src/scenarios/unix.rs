//! Sockets of the machine itself (unix(7)): what is thrown away unread. Messages have no device; their namespace is the sender's.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};

use anyhow::{Context, Result, ensure};

use super::shape::{EXPECT, only_where_known};
use crate::lab::Lab;
use crate::scenario::{Expect, Scenario, Stage};

const UNIX: Expect = Expect { device: "", protocol: "", ..EXPECT };
const PURGE: &[&str] =
    &["skb_queue_purge_reason", "skb_queue_purge", "unix_dgram_disconnected", "unix_release_sock"];

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "unix-closed-with-messages-queued",
            prepare: |count| {
                let lab = Lab::alone()?;
                let (sender, receiver) = pair(&lab, count)?;
                let mut receiver = Some(receiver);
                Stage::new(lab, move |_| {
                    let _open = &sender;
                    drop(receiver.take().context("sent once")?);
                    Ok(())
                })
            },
            expect: Expect { reasons: &["SOCKET_CLOSE", "NOT_SPECIFIED"], functions: PURGE, ..UNIX },
        },
        Scenario {
            name: "unix-disconnected-with-messages-queued",
            prepare: |count| {
                let lab = Lab::alone()?;
                let (sender, receiver) = pair(&lab, count)?;
                Stage::new(lab, move |_| {
                    let _open = &sender;
                    disconnect(&receiver)
                })
            },
            expect: Expect {
                reasons: &["UNIX_DISCONNECT", "QUEUE_PURGE", "NOT_SPECIFIED"],
                functions: PURGE,
                ..UNIX
            },
        },
        Scenario {
            name: "unix-skips-the-urgent-byte",
            prepare: skip_urgent,
            expect: Expect {
                reasons: &["UNIX_SKIP_OOB"],
                functions: &["manage_oob", "unix_stream_read_generic"],
                ..UNIX
            },
        },
    ]
}

/// Two connected sockets; `count` messages wait for the second.
fn pair(lab: &Lab, count: u64) -> Result<(UnixDatagram, UnixDatagram)> {
    let (sender, receiver) = lab.receiver.enter(|| Ok(UnixDatagram::pair()?))?;
    for _ in 0..count {
        sender.send(b"hey")?;
    }
    Ok((sender, receiver))
}

/// connect(2) to `AF_UNSPEC`.
fn disconnect(socket: &UnixDatagram) -> Result<()> {
    // SAFETY: an all-zero sockaddr is valid: its family is AF_UNSPEC.
    let nobody: libc::sockaddr = unsafe { std::mem::zeroed() };
    let length = u32::try_from(size_of_val(&nobody))?;
    // SAFETY: the address lives through the call and `length` is its size.
    let result = unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, length) };
    ensure!(result == 0, "connect(AF_UNSPEC): {}", std::io::Error::last_os_error());
    Ok(())
}

/// An urgent byte in front of others, and a reader of the others alone.
fn skip_urgent(count: u64) -> Result<Stage> {
    only_where_known("UNIX_SKIP_OOB", "it frees the byte as read")?;
    let lab = Lab::alone()?;
    let (mut sender, mut receiver) = lab.receiver.enter(|| Ok(UnixStream::pair()?))?;
    Stage::new(lab, move |_| {
        for _ in 0..count {
            // SAFETY: pointer and length are those of the literal.
            let sent = unsafe { libc::send(sender.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
            ensure!(sent == 1, "send(MSG_OOB): {}", std::io::Error::last_os_error());
            sender.write_all(b"x")?;
            receiver.read_exact(&mut [0])?;
        }
        Ok(())
    })
}
