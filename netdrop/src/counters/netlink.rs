//! netlink(7) dumps: one request, all answers.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of `struct nlmsghdr` and `struct nlattr`.
const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_TYPE_MASK`: above are flags.
const TYPE_MASK: u16 = 0x3fff;
/// The kernel fills at most 32 KiB at once (`netlink_dump`).
pub(super) const DATAGRAM: usize = 64 << 10;

/// What one message says.
pub(super) enum Message<'a> {
    Answer(&'a [u8]),
    Error(io::Error),
    Done,
}

/// Sends `request` (the struct of its family) to rtnetlink(7) and gives the payloads of all answers, in the caller's namespace.
pub fn dump(message_type: u16, request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    dump_of(SockProtocol::NetlinkRoute, message_type, request)
}

/// The same of another protocol.
pub fn dump_of(protocol: SockProtocol, message_type: u16, request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    dump_most(protocol, message_type, request, usize::MAX)
}

/// The same, and no more than `most` answers and what came together with the last.
pub fn dump_most(
    protocol: SockProtocol,
    message_type: u16,
    request: &[u8],
    most: usize,
) -> io::Result<Vec<Vec<u8>>> {
    let mut answers = Vec::new();
    each_of(protocol, message_type, request, |answer| {
        answers.push(answer.to_vec());
        answers.len() < most
    })?;
    Ok(answers)
}

/// Hands each answer over as it comes, for what may be many, until `take` wants no more.
pub fn each_of(
    protocol: SockProtocol,
    message_type: u16,
    request: &[u8],
    mut take: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    send(socket.as_raw_fd(), &message(message_type, request), MsgFlags::empty())?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut goes_on = true;
        for message in messages(&buffer[..length]) {
            match message {
                Message::Answer(payload) => goes_on = take(payload),
                Message::Error(error) => return Err(error),
                Message::Done => return Ok(()),
            }
        }
        if !goes_on {
            return Ok(());
        }
    }
}

pub(super) fn message(message_type: u16, request: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + request.len()).expect("requests are a few bytes");
    let mut message = Vec::with_capacity(HEADER + request.len());
    message.extend(length.to_ne_bytes());
    message.extend(message_type.to_ne_bytes());
    message.extend(REQUEST_DUMP.to_ne_bytes());
    message.extend([0; 8]);
    message.extend_from_slice(request);
    message
}

/// An attribute of a request.
pub(crate) fn encode(kind: u16, value: &[u8]) -> Vec<u8> {
    let length =
        u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("attributes of requests are a few bytes");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The messages of a datagram, up to the first that isn't whole.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let (kind, payload) = (u16_at(bytes, 4)?, bytes.get(HEADER..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(match kind {
            DONE => Message::Done,
            ERROR => {
                let code = u32_at(payload, 0).unwrap_or(0).cast_signed();
                Message::Error(io::Error::from_raw_os_error(code.saturating_neg()))
            }
            _ => Message::Answer(payload),
        })
    })
}

/// The attributes in `bytes`, number and value, up to the first that isn't whole.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let (kind, value) = (u16_at(bytes, 2)? & TYPE_MASK, bytes.get(ATTRIBUTE_HEADER..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of that number.
pub fn attribute(bytes: &[u8], number: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == number).map(|(_, value)| value)
}

/// A number at `offset`, in the machine's byte order.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The same, 64 bits wide.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// The same, 16 bits wide.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// A name up to its zero byte.
pub fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An attribute as the kernel lays it out.
    pub(crate) use super::encode as encoded;

    proptest! {
        #[test]
        fn attributes_come_back(list in proptest::collection::vec((0..0x3fff_u16, proptest::collection::vec(any::<u8>(), 0..9)), 0..6)) {
            let bytes: Vec<u8> = list.iter().flat_map(|(kind, value)| encoded(*kind, value)).collect();
            let read: Vec<(u16, Vec<u8>)> = attributes(&bytes).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(read, list);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), small in proptest::collection::vec(0..24_u8, 0..200)) {
            for bytes in [bytes, small] {
                prop_assert!(messages(&bytes).count() <= bytes.len());
                prop_assert!(attributes(&bytes).count() <= bytes.len());
            }
        }

        #[test]
        fn answers_come_back(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..6)) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| {
                let mut bytes = message(16, payload);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes
            }).collect();
            let read: Vec<Vec<u8>> = messages(&bytes).filter_map(|message| match message {
                Message::Answer(payload) => Some(payload.to_vec()),
                _ => None,
            }).collect();
            prop_assert_eq!(read, payloads);
        }
    }
}
