//! Frames in and out of a device, as packet(7) gives them.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lab::Namespace;

/// An `AF_PACKET` socket bound to one device.
pub struct PacketSocket(OwnedFd);

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl PacketSocket {
    /// A socket that sends, and doesn't receive: it takes no copy of anything.
    pub fn sender(namespace: &Namespace, device: &str) -> Result<Self> {
        Self::open(namespace, device, 0)
    }

    /// A socket that also sees every frame of the device.
    pub fn observer(namespace: &Namespace, device: &str) -> Result<Self> {
        Self::open(namespace, device, u16::try_from(libc::ETH_P_ALL)?)
    }

    /// A socket that sees the frames of one ethertype.
    pub fn of_ethertype(namespace: &Namespace, device: &str, ethertype: u16) -> Result<Self> {
        Self::open(namespace, device, ethertype)
    }

    /// Frames that reached the socket and frames it had no room for, both since the last question (`PACKET_STATISTICS`).
    pub fn statistics(&self) -> Result<(u32, u32)> {
        let mut counters = [0u32; 2];
        let mut length = u32::try_from(size_of_val(&counters))?;
        // SAFETY: the kernel writes at most `length` bytes into `counters`.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                counters.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(std::io::Error::last_os_error()).context("PACKET_STATISTICS");
        }
        Ok((counters[0], counters[1]))
    }

    fn open(namespace: &Namespace, device: &str, protocol: u16) -> Result<Self> {
        namespace.enter(|| {
            let protocol = protocol.to_be();
            // SAFETY: socket(2) has no memory arguments; the result is checked before it is owned.
            let socket = unsafe {
                let raw = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
                if raw < 0 {
                    return Err(std::io::Error::last_os_error()).context("socket(AF_PACKET)");
                }
                OwnedFd::from_raw_fd(raw)
            };
            // SAFETY: an all-zero sockaddr_ll is valid.
            let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            address.sll_family = u16::try_from(libc::AF_PACKET)?;
            address.sll_protocol = protocol;
            address.sll_ifindex = i32::try_from(nix::net::if_::if_nametoindex(device)?)?;
            let length = u32::try_from(size_of_val(&address))?;
            // SAFETY: the address lives through the call and `length` is its size.
            if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
                return Err(std::io::Error::last_os_error()).context("bind(AF_PACKET)");
            }
            Ok(Self(socket))
        })
    }

    /// Sends one frame; a frame that the device's queue refused (`ENOBUFS`) counts as sent and dropped.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        // SAFETY: pointer and length are those of the slice.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 {
            let error = std::io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::ENOBUFS) {
                return Err(error).context("send(AF_PACKET)");
            }
        }
        Ok(())
    }

    /// Sends `frame` `count` times.
    pub fn repeat(&self, frame: &[u8], count: u64) -> Result<()> {
        (0..count).try_for_each(|_| self.send(frame))
    }

    /// The first frame that `wanted` accepts.
    pub fn receive<T>(&self, limit: Duration, mut wanted: impl FnMut(&[u8]) -> Option<T>) -> Result<T> {
        let mut buffer = [0; 2048];
        let deadline = std::time::Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, and the count says one.
            if unsafe { libc::poll(&raw mut poll, 1, i32::try_from(left.as_millis())?) } <= 0 {
                bail!("no frame of the wanted kind within {limit:?}");
            }
            // SAFETY: pointer and length are those of the buffer.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let length = usize::try_from(got).map_err(|_| std::io::Error::last_os_error())?;
            if let Some(value) = wanted(&buffer[..length]) {
                return Ok(value);
            }
        }
    }
}
