//! Events that were taken off the ring before they could be shown.

use std::collections::VecDeque;

use super::memory;

/// Memory is taken in blocks of so many bytes, and so many of them at most: 8 MiB, a tenth of a second of a flood.
const BLOCK: usize = 256 << 10;
const BLOCKS_MAX: usize = 32;

/// A bounded queue of events, first in, first out. It takes no memory while it's empty.
#[derive(Debug, Default)]
pub struct Backlog {
    blocks: VecDeque<Block>,
}

/// Events one after the other, each behind its length.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    read: usize,
}

impl Backlog {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(Block::is_read)
    }

    /// Whether another event may be added.
    pub fn has_room(&self) -> bool {
        self.blocks.len() < BLOCKS_MAX
    }

    /// Adds an event behind all others.
    pub fn push(&mut self, event: &[u8]) {
        match self.blocks.back_mut() {
            Some(block) if block.has_room_for(event) => block.push(event),
            _ => self.blocks.push_back(Block::with(event, BLOCK)),
        }
    }

    /// Puts an event in front of all others.
    pub fn push_front(&mut self, event: &[u8]) {
        self.blocks.push_front(Block::with(event, 0));
    }

    /// Takes the first event out.
    pub fn next(&mut self) -> Option<&[u8]> {
        while self.blocks.front()?.is_read() {
            self.blocks.pop_front();
            if self.blocks.is_empty() {
                self.blocks.shrink_to_fit();
                memory::give_back();
            }
        }
        self.blocks.front_mut()?.next()
    }
}

impl Block {
    fn with(event: &[u8], capacity: usize) -> Self {
        let mut block = Self { bytes: Vec::with_capacity(capacity), read: 0 };
        block.push(event);
        block
    }

    fn is_read(&self) -> bool {
        self.read == self.bytes.len()
    }

    fn has_room_for(&self, event: &[u8]) -> bool {
        self.bytes.len() + size_of::<usize>() + event.len() <= self.bytes.capacity()
    }

    fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(&event.len().to_ne_bytes());
        self.bytes.extend_from_slice(event);
    }

    fn next(&mut self) -> Option<&[u8]> {
        let (length, rest) = self.bytes.get(self.read..)?.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length);
        self.read += size_of::<usize>() + length;
        rest.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use std::iter::from_fn;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn rest(backlog: &mut Backlog) -> Vec<Vec<u8>> {
        from_fn(|| backlog.next().map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let mut backlog = Backlog::default();
        backlog.push(b"one");
        backlog.push(b"two");
        let first = backlog.next().unwrap().to_vec();
        backlog.push_front(&first);
        backlog.push(b"three");
        assert_eq!(rest(&mut backlog), [b"one".as_slice(), b"two", b"three"]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let (mut backlog, mut bytes) = (Backlog::default(), 0);
        while backlog.has_room() {
            backlog.push(&[0; 1000]);
            bytes += 1000;
        }
        let full = BLOCK * BLOCKS_MAX;
        assert!(bytes < full && bytes > full - 2 * BLOCK, "{bytes}");
        assert_eq!(rest(&mut backlog).len() * 1000, bytes);
        assert!(backlog.has_room() && backlog.blocks.is_empty());
    }

    proptest! {
        /// However pushing and taking alternate, and whatever the sizes, the order stays.
        #[test]
        fn first_in_first_out(steps in vec((vec(0..300_usize, 0..20), 0..20_usize), 0..20)) {
            let (mut backlog, mut model) = (Backlog::default(), VecDeque::new());
            for (lengths, taken) in steps {
                for length in lengths {
                    let event = vec![u8::try_from(length % 251).unwrap(); length * 100];
                    backlog.push(&event);
                    model.push_back(event);
                }
                for _ in 0..taken {
                    prop_assert_eq!(backlog.next().map(<[u8]>::to_vec), model.pop_front());
                }
                prop_assert_eq!(backlog.is_empty(), model.is_empty());
            }
        }
    }
}
