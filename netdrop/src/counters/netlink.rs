//! netlink(7) dumps: one request, all answers.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// `NLM_F_REQUEST | NLM_F_DUMP`.
pub(super) const REQUEST_DUMP: u16 = 0x301;
/// `NLM_F_REQUEST | NLM_F_ACK`: a question about one thing, whose end is told as an error of number 0.
const REQUEST_ONE: u16 = 0x5;
/// `NLM_F_DUMP_INTR`: what is listed changed meanwhile, so that something may be missing (`nl_dump_check_consistent`, include/net/netlink.h).
const INTERRUPTED: u16 = 0x10;
/// A list that changes all the time is taken as it is then.
const TRIES: usize = 3;
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
    /// The end, and what ended it before all was told.
    Done(Option<io::Error>),
}

/// How a list ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    is_interrupted: bool,
    /// What kept the kernel from telling the rest.
    pub error: Option<io::Error>,
}

/// Sends `request` (the struct of its family) to rtnetlink(7) and gives the payloads of all answers, in the caller's namespace.
pub fn dump(message_type: u16, request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    dump_to_end(SockProtocol::NetlinkRoute, message_type, request).map(|(answers, _)| answers)
}

/// The same of another protocol, with how it ended. A list that changed meanwhile is asked for again.
pub(super) fn dump_to_end(
    protocol: SockProtocol,
    message_type: u16,
    request: &[u8],
) -> io::Result<(Vec<Vec<u8>>, Ended)> {
    let mut tries = 0;
    loop {
        let mut answers = Vec::new();
        let ended = list(protocol, message_type, request, |answer| {
            answers.push(answer.to_vec());
            true
        })?;
        tries += 1;
        if !ended.is_interrupted || tries == TRIES {
            return Ok((answers, ended));
        }
    }
}

/// Hands each answer over as it comes, for what may be many, until `take` wants no more.
pub fn each_of(
    protocol: SockProtocol,
    message_type: u16,
    request: &[u8],
    take: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    list(protocol, message_type, request, take).map(drop)
}

/// The answer to a question about one thing; none where there is nothing to tell.
pub(super) fn ask(protocol: SockProtocol, message_type: u16, request: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let socket = sent(protocol, &message(message_type, REQUEST_ONE, request))?;
    let (mut buffer, mut answer) = (vec![0; DATAGRAM], None);
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (_, message) in messages(&buffer[..length]) {
            match message {
                Message::Answer(payload) => answer = Some(payload.to_vec()),
                Message::Error(error) if error.raw_os_error() == Some(0) => return Ok(answer),
                Message::Error(error) => return Err(error),
                Message::Done(_) => return Ok(answer),
            }
        }
    }
}

fn list(
    protocol: SockProtocol,
    message_type: u16,
    request: &[u8],
    mut take: impl FnMut(&[u8]) -> bool,
) -> io::Result<Ended> {
    let socket = sent(protocol, &message(message_type, REQUEST_DUMP, request))?;
    let (mut buffer, mut ended) = (vec![0; DATAGRAM], Ended::default());
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut goes_on = true;
        for (flags, message) in messages(&buffer[..length]) {
            ended.is_interrupted |= flags & INTERRUPTED != 0;
            match message {
                Message::Answer(payload) => goes_on = take(payload),
                Message::Error(error) => return Err(error),
                Message::Done(error) => return Ok(Ended { error, ..ended }),
            }
        }
        if !goes_on {
            return Ok(ended);
        }
    }
}

fn sent(protocol: SockProtocol, message: &[u8]) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    send(socket.as_raw_fd(), message, MsgFlags::empty())?;
    Ok(socket)
}

pub(super) fn message(message_type: u16, flags: u16, request: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + request.len()).expect("requests are a few bytes");
    let mut message = Vec::with_capacity(HEADER + request.len());
    message.extend(length.to_ne_bytes());
    message.extend(message_type.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
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

/// The messages of a datagram with their flags, up to the first that isn't whole.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, Message<'_>)> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let (kind, flags, payload) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?, bytes.get(HEADER..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let code = || u32_at(payload, 0).unwrap_or(0).cast_signed();
        let error = || io::Error::from_raw_os_error(code().saturating_neg());
        let message = match kind {
            DONE => Message::Done((code() < 0).then(error)),
            ERROR => Message::Error(error()),
            _ => Message::Answer(payload),
        };
        Some((flags, message))
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

    /// `NLMSG_DONE` has the number of the error that the dump ended with (`netlink_dump_done`, `net/netlink/af_netlink.c`).
    #[test]
    fn what_ends_a_list_early_is_told() {
        let ended = |code: i32| message(DONE, INTERRUPTED, &code.to_ne_bytes());
        let errno = |bytes: &[u8]| match messages(bytes).next() {
            Some((INTERRUPTED, Message::Done(error))) => error.map(|error| error.raw_os_error()),
            _ => panic!("no end, or without its flag"),
        };
        assert_eq!(errno(&ended(-19)), Some(Some(19)));
        assert_eq!((errno(&ended(0)), errno(&message(DONE, INTERRUPTED, &[]))), (None, None));
    }

    #[test]
    fn one_link_is_told_as_among_all() {
        const RTM_GETLINK: u16 = 18;
        // `struct ifinfomsg` of the loopback device.
        let mut loopback = [0; 16];
        loopback[4] = 1;
        let one = ask(SockProtocol::NetlinkRoute, RTM_GETLINK, &loopback).unwrap().unwrap();
        let all = dump(RTM_GETLINK, &[0; 16]).unwrap();
        assert!(all.iter().any(|link| link[..8] == one[..8]));
        loopback[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(ask(SockProtocol::NetlinkRoute, RTM_GETLINK, &loopback).is_err());
    }

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
                let mut bytes = message(16, REQUEST_DUMP, payload);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes
            }).collect();
            let read: Vec<Vec<u8>> = messages(&bytes).filter_map(|(_, message)| match message {
                Message::Answer(payload) => Some(payload.to_vec()),
                _ => None,
            }).collect();
            prop_assert_eq!(read, payloads);
        }
    }
}
